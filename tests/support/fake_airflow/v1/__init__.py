"""The fake's REST API of Airflow 2."""
