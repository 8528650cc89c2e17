"""What is decided: which run, whether to make it, when it is over, and what that means.

Pure but for the `Airflow` it is handed, the clock and the sleep. It prints nothing, knows no version of Airflow, reads no
environment and decides no exit code.
"""
