"""Explain a DAG run: progress, blockers, failures, import errors, XComs. Never decides a result."""
