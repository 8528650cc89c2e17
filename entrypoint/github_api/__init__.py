"""Use GitHub's REST API: commits, statuses, deployments, and the marker for Airflow's listener."""
