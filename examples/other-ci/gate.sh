#!/bin/sh
# A gate in any shell that has docker: it ends with 0 only if the DAG run succeeded.
# AIRFLOW_TOKEN is in the environment. The run id is yours here: run it twice with the same one, and the second time continues.
set -eu

export INPUT_TOKEN="$AIRFLOW_TOKEN"
docker run --rm --read-only --user "$(id -u):$(id -g)" \
  --env INPUT_AIRFLOW_URL=https://airflow.example.com \
  --env INPUT_TOKEN \
  --env INPUT_DAG_ID=nightly_sales \
  --env INPUT_RUN_ID="deploy-$(git rev-parse HEAD)" \
  --env AIRFLOW_DAG_RUN_OUTPUTS=/outputs/outputs.json --volume "$PWD:/outputs" \
  ghcr.io/OWNER/airflow-dag-run@sha256:DIGEST
