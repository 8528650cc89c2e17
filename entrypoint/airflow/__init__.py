"""Access Airflow's REST APIs through one protocol, `Airflow` in `client.py`.

`v1.py` implements it for Airflow 2, `v2.py` for Airflow 3.
"""
