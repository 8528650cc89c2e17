# The bearer token of a user of Airflow 3, as people get it in a shell.
token=$(
  jq -n '{username: env.AIRFLOW_USERNAME, password: env.AIRFLOW_PASSWORD}' |
    curl -fsS -H 'Content-Type: application/json' -d @- "$AIRFLOW_URL/auth/token" | jq -r .access_token
)
