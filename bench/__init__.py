"""Benchmarks: ours beside its peers, each as a process of its own, measured from outside.

`python -m bench` runs them all and writes `RESULTS.md`. A module a kind of work, each giving rows of
the table; `measure` holds what they share. What is tested for right or wrong belongs in `tests`.
"""
