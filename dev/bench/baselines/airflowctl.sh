# airflowctl in a loop, without a keyring, because a CI job has none. It refuses every --conf
# ("invalid dict value"), so the mark is the DAG run's id. Usage: airflowctl.sh DAG_ID CONF
set -euo pipefail
source "${BASH_SOURCE%/*}/token.sh"
export AIRFLOW_CLI_TOKEN=$token
airflowctl auth login --api-url "$AIRFLOW_URL" --skip-keyring
run_id=$(jq -r .mark <<<"$2")
airflowctl dags trigger "$1" --dag-run-id "$run_id" --output json
state=queued
until [[ $state == success || $state == failed ]]; do
  sleep 5
  state=$(airflowctl dagrun get "$1" "$run_id" --output json | jq -r '.[0].state')
  echo "$state"
done
[[ $state == success ]]
