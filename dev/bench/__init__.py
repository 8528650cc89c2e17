"""Measure the action's costs, compared with other tools, against real Airflows.

`python -m dev.bench run SCENE…` measures; `python -m dev.bench table` writes the results into
docs/benchmarks.md. Linux only, because CPU times come from /proc. Everything uses the loopback, and
nothing is left running.
"""
