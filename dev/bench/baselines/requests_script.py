# ruff: noqa: INP001 - a script
"""Trigger a DAG run and wait for its end. Usage: requests_script.py DAG_ID CONF."""

import json
import os
import sys
import time

import requests

url, api = os.environ["AIRFLOW_URL"], os.environ["AIRFLOW_API"]
user, password = os.environ["AIRFLOW_USERNAME"], os.environ["AIRFLOW_PASSWORD"]
dag_id, conf = sys.argv[1], json.loads(sys.argv[2])

session = requests.Session()
body = {"conf": conf}
if api == "/api/v1":
    session.auth = (user, password)
else:
    answer = session.post(
        f"{url}/auth/token", json={"username": user, "password": password}, timeout=60
    )
    answer.raise_for_status()
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    body["logical_date"] = None

answer = session.post(f"{url}{api}/dags/{dag_id}/dagRuns", json=body, timeout=60)
answer.raise_for_status()
run_id, state = answer.json()["dag_run_id"], "queued"
while state not in ("success", "failed"):
    time.sleep(5)
    answer = session.get(f"{url}{api}/dags/{dag_id}/dagRuns/{run_id}", timeout=60)
    answer.raise_for_status()
    state = answer.json()["state"]
    print(state, flush=True)
sys.exit(state != "success")
