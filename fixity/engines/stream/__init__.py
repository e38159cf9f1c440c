"""The engine that reads objects itself: many at once, in parts that a killed run goes on from."""
