"""Restores archived objects: finds them, estimates the cost, requests restores, and follows them.

Reading restored objects does not belong here: ingest gets a list of those that are ready.
"""
