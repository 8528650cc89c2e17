"""The fake's API of Airflow 2."""
