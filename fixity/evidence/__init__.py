"""Evidence for an auditor: one object's whole life, and the package of all that the lake holds.

What the lake holds is read here, never written. Judging objects does not belong here.
"""
