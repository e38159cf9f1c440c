"""Evidence for an auditor: one object's whole life, and the package of all that the lake holds.

What the lake holds is read here, and only a snapshot, which is derived, may be folded anew. Judging objects
does not belong here.
"""
