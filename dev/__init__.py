"""Development tools: a local Airflow, a replay of GitHub's runner, and the demo."""
