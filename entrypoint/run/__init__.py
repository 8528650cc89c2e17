"""Decide which DAG run to use, how to create, follow and stop it, and what its state means.

The package never explains why a run failed: it does not import `diagnostics/`.
"""
