"""What the action costs, measured beside what people use today, against real Airflows on this
machine.

`python -m dev.bench run SCENE…` measures, `python -m dev.bench table` writes what was measured into
docs/benchmarks.md. Linux
only: CPU time is read from /proc. Everything is loopback, and nothing is left running.
"""
