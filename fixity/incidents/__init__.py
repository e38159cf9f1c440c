"""Incidents: what was found wrong, from the second look to the check after a repair.

Reading objects, comparing buckets and repairing do not belong here.
"""
