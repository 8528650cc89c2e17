"""Unit tests of `airflow/`."""
