"""The fake's REST API of Airflow 3."""
