"""A retry policy that gives up at once, with a reason (Airflow 3.4 and later)."""

from __future__ import annotations

from everywhere import OPTIONS, dag, task

try:
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
except ImportError:  # before 3.4
    ExceptionRetryPolicy = None

if ExceptionRetryPolicy is not None:
    RULE = RetryRule(exception=PermissionError, action=RetryAction.FAIL, reason="the key expired")

    @dag("retry_policy", **OPTIONS)
    def retry_policy() -> None:
        @task(retries=3, retry_policy=ExceptionRetryPolicy(rules=[RULE]))
        def load() -> None:
            """Fail in a way that no retry heals."""
            raise PermissionError("no access to the shop")

        load()

    retry_policy_dag = retry_policy()
