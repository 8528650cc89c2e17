"""The whole action, in a process or in the tests', against a scripted Airflow with faults."""
