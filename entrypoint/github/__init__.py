"""GitHub: its runner's environment and commands, the checkout, and its REST API.

`statuses.py` and `deployments.py` know the URL of a DAG run's page; nothing here sends a request to Airflow.
"""
