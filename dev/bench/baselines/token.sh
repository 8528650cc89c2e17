# Get the bearer token of an Airflow 3 user with curl.
token=$(
  jq -n '{username: env.AIRFLOW_USERNAME, password: env.AIRFLOW_PASSWORD}' |
    curl -fsS -H 'Content-Type: application/json' -d @- "$AIRFLOW_URL/auth/token" | jq -r .access_token
)
