"""Explain a DAG run: progress, blockers, failures, import errors and XComs."""
