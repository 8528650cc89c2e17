# airflowctl in a loop, as people write it: Airflow chooses the run id.
# CONF is not sent, because airflowctl 0.1.5 refuses every --conf ("invalid dict value"). Before the
# JSON it prints its warnings to stdout. Usage: airflowctl.sh DAG_ID CONF
set -euo pipefail
source "${BASH_SOURCE%/*}/../bench/baselines/token.sh"
export AIRFLOW_CLI_TOKEN=$token
json() { airflowctl "$@" --output json | awk '/^\[{/ { print; next } { print > "/dev/stderr" }'; }
airflowctl auth login --api-url "$AIRFLOW_URL" --skip-keyring
run_id=$(json dags trigger "$1" | jq -r '.[0].dag_run_id')
state=queued
until [[ $state == success || $state == failed ]]; do
  sleep 5
  state=$(json dagrun get "$1" "$run_id" | jq -r '.[0].state')
  echo "$state"
done
[[ $state == success ]]
