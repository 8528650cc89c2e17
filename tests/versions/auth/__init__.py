"""Auth managers that an Airflow of the scenarios loads."""
