# A loop of curl and jq. Usage: curl.sh DAG_ID CONF
set -euo pipefail
source "${BASH_SOURCE%/*}/token.sh"
runs=$AIRFLOW_URL/api/v2/dags/$1/dagRuns
run_id=$(
  jq -n --argjson conf "$2" '{logical_date: null, conf: $conf}' |
    curl -fsS -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d @- "$runs" |
    jq -r '.dag_run_id | @uri'
)
state=queued
until [[ $state == success || $state == failed ]]; do
  sleep 5
  state=$(curl -fsS -H "Authorization: Bearer $token" "$runs/$run_id" | jq -r .state)
  echo "$state"
done
[[ $state == success ]]
