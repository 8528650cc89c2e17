"""The fake's API of Airflow 3."""
