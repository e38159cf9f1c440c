"""Restoring archived objects: which they are, what it costs, asking for it, and looking what became of it.

Reading what was restored is not done here: a list of what is ready goes to ingest fixity.
"""
