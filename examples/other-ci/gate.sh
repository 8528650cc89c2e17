#!/bin/sh
# For any shell with docker. The exit code is 0 only if the DAG run succeeded.
# AIRFLOW_TOKEN is in the environment. You choose the run id: a second call with the same run id
# continues the same DAG run.
set -eu

export INPUT_TOKEN="$AIRFLOW_TOKEN"
docker run --rm --read-only --user "$(id -u):$(id -g)" \
  --env INPUT_AIRFLOW_URL=https://airflow.example.com \
  --env INPUT_TOKEN \
  --env INPUT_DAG_ID=nightly_sales \
  --env INPUT_RUN_ID="deploy-$(git rev-parse HEAD)" \
  --env AIRFLOW_DAG_RUN_OUTPUTS=/outputs/outputs.json --volume "$PWD:/outputs" \
  ghcr.io/OWNER/airflow-dag-run@sha256:DIGEST
