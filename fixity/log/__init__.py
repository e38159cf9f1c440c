"""The log: a numbered chain of signed lists of checksums ("seals") over all evidence in the lake.

Each seal is a file that `sha256sum -c` and `openssl` read, so that nobody needs this software to verify one.
How a file gets its record, which a seal binds, does not belong here; that is in `fixity.lake.proof`.
"""
