"""The assets: one module a table, thin: fetch, call `fixity`, keep, describe with metadata.

`definitions.py` is the one place where everything is put together. How a thing is computed does not
belong here but in `fixity`.
"""
