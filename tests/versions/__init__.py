"""One suite of scenarios against a real Airflow of each version that `make versions` tries."""
