"""Validation of a `conf` against a DAG's params, with Airflow's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from tests.support.fake_airflow.models import FakeDag


def param_error(dag: FakeDag, conf: dict[str, Any], no_value: str) -> str | None:
    """Return Airflow's message for the first invalid param; `no_value` is for a missing one."""
    for name, schema in dag.params_schema.items():
        if name not in conf and "default" not in schema:
            return f"Invalid input for param {name}: {no_value}"
        rules = {key: rule for key, rule in schema.items() if key not in {"default", "description"}}
        try:
            jsonschema.validate(conf.get(name, schema.get("default")), rules)
        except jsonschema.ValidationError as error:
            return f"Invalid input for param {name}: {error}"
    return None
