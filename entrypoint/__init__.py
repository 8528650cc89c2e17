"""Airflow DAG Run: run an Airflow DAG for this commit, wait for it, and let the workflow go on only if it succeeded."""

__version__ = "0.1.0"
