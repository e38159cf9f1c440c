"""The `fixity` command: a thin face over the same assets and the same Dagster instance as the UI.

Starts fast: Dagster is imported only by the verbs that run something.
"""
