"""The whole action against a real Airflow 2 and a real Airflow 3: what only Airflow itself can
confirm.
"""
