"""Tests of the whole action against a real Airflow 2 and a real Airflow 3."""
