"""The whole action as a process, against a scripted Airflow that goes wrong on demand."""
