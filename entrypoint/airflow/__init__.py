"""Airflow's REST APIs behind one protocol (`client.py`): `v1.py` for Airflow 2, `v2.py` for Airflow
3.
"""
