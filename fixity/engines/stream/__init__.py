"""The engine that reads objects itself: many at once, in parts from which a killed run continues."""
