"""Real servers on loopback for tests, the demo and the benchmarks; nothing of the platform imports them."""
