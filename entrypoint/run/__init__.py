"""Choose, create, follow and stop the DAG run, and derive the result from its state.

The package never explains why a run failed: it does not import `diagnostics/`.
"""
