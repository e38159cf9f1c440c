"""Who reads the bytes: the platform itself (`stream`), S3 Batch Operations, or a Step Functions map.

An engine gives checks to the ledger. Engines do not import each other; which objects are read, and what is
said of the checks, does not belong here.
"""
