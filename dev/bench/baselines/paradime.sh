# paradime, which accepts Basic or a bearer token, but cannot log in by itself.
# Usage: paradime.sh DAG_ID CONF
set -euo pipefail
source "${BASH_SOURCE%/*}/token.sh"
export AIRFLOW_BEARER_TOKEN=$token
exec paradime run airflow-trigger --base-url "$AIRFLOW_URL" --dag-ids "$1" --dag-run-conf "$2" --poll-interval 10
