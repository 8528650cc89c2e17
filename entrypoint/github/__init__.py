"""The runner's side: what it tells (`context.py`) and what it is told (`commands.py`). It knows nothing of Airflow."""
