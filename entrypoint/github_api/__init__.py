"""GitHub's REST API: commits, commit statuses, deployments, and the marker for Airflow's
listener.
"""
