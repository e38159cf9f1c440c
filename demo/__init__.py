"""The demonstration behind `make demo`; nothing of the platform imports it."""
