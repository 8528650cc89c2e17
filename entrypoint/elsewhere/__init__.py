"""Every system but GitHub's runner: which step this is there (`context.py`), and what it is told (`log.py`).

It knows nothing of Airflow, and must not know GitHub's commands: `::add-mask::` would print the secret there.
"""
