"""Tests with a real KDC and a real Airflow 2 with its Kerberos backend."""
