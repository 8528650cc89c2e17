"""What the action relies on in either version of Airflow, stated once for the real ones and the
scripted ones alike.
"""

from __future__ import annotations

import pytest

from tests.contract.api import Api, Server, new_id, reason
from tests.contract.shapes import DAG, DETAILS, RUN, assert_shape

NOBODY = "no_such_dag"


def random_date() -> str:
    """A logical date nobody has used, as far as chance can promise it."""
    digits = int(new_id()[-11:], 16)
    hours, rest = divmod(digits, 3600)
    minutes, seconds = divmod(rest, 60)
    day = f"20{hours % 20:02}-{hours % 12 + 1:02}-{hours % 28 + 1:02}"
    return f"{day}T{hours % 24:02}:{minutes:02}:{seconds:02}+00:00"


@pytest.mark.parametrize("credential", [None, ("admin", "wrong")])
def test_the_version_is_public(
    server: Server, admin: Api, credential: tuple[str, str] | None
) -> None:
    """The version needs no credential and ignores a bad one."""
    answer = admin.anonymous("GET", f"{server.api}/version", auth=credential)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert_shape(answer.json(), {"version": str, "git_version": str})
    assert answer.json()["version"] == server.version


def test_who_may_only_read_reads(viewer: Api, success: str) -> None:
    """A viewer sees DAGs, runs, task instances, logs and import errors."""
    run = f"/dags/quick_success/dagRuns/{success}"
    paths = (
        "/dags/quick_success",
        run,
        f"{run}/taskInstances",
        f"{run}/taskInstances/succeed/logs/1",
        "/importErrors",
    )
    assert [viewer.get(path).status_code for path in paths] == [200] * 5


def test_who_may_only_read_changes_nothing(viewer: Api, success: str) -> None:
    """A viewer's every change is a 403, also where there is nothing to change."""
    run = f"/dags/quick_success/dagRuns/{success}"
    answers = [
        viewer.trigger("quick_success"),
        viewer.trigger(NOBODY),
        viewer.patch("/dags/quick_success", {"is_paused": True}),
        viewer.patch(run, {"state": "failed"}),
        viewer.post(f"{run}/clear", {"dry_run": False}),
    ]
    said = "Forbidden: None" if viewer.version == "2.11.2" else "Forbidden"
    assert [(answer.status_code, reason(answer)) for answer in answers] == [(403, said)] * 5


def test_a_dag(admin: Api) -> None:
    """A DAG says whether it is paused."""
    answer = admin.get("/dags/quick_success")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert_shape(answer.json(), DAG[admin.version])
    assert answer.json()["dag_id"] == "quick_success"
    assert answer.json()["is_paused"] is False
    assert admin.get("/dags/paused_dag").json()["is_paused"] is True


def test_the_details_of_a_dag(admin: Api) -> None:
    """The details have the params, each with its value and its schema."""
    answer = admin.get("/dags/nightly_sales/details")
    assert answer.status_code == 200
    assert_shape(answer.json(), DETAILS[admin.version])
    region = answer.json()["params"]["region"]
    assert region["value"] == "EMEA"
    assert region["schema"] == {"type": "string", "enum": ["AMER", "APAC", "EMEA"]}


@pytest.mark.parametrize("tail", ["", "/details"])
def test_an_unknown_dag(admin: Api, tail: str) -> None:
    """An unknown DAG is a 404 that names it."""
    answer = admin.get(f"/dags/{NOBODY}{tail}")
    assert answer.status_code == 404
    words = "DAG not found: The DAG with dag_id: {} was not found"
    words = words if admin.version == "2.11.2" else "The Dag with ID: `{}` was not found"
    assert reason(answer) == words.format(NOBODY)


def test_pausing(admin: Api) -> None:
    """PATCH is_paused answers with the DAG as it is then."""
    answer = admin.patch("/dags/unstable", {"is_paused": True})
    assert answer.status_code == 200
    assert_shape(answer.json(), DAG[admin.version])
    assert answer.json()["is_paused"] is True
    assert admin.patch("/dags/unstable", {"is_paused": False}).json()["is_paused"] is False
    assert admin.patch(f"/dags/{NOBODY}", {"is_paused": False}).status_code == 404


def test_a_new_run(admin: Api) -> None:
    """A trigger answers 200 with the run: queued, under the id and with the conf and the note that
    were asked for.
    """
    run_id = new_id()
    answer = admin.trigger(
        "quick_success", dag_run_id=run_id, conf={"any": [1, "é"]}, note="by the contract"
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    run = answer.json()
    assert_shape(run, RUN[admin.version])
    assert (run["dag_id"], run["dag_run_id"], run["state"]) == ("quick_success", run_id, "queued")
    assert (run["conf"], run["note"], run["run_type"]) == (
        {"any": [1, "é"]},
        "by the contract",
        "manual",
    )
    assert (run["start_date"], run["end_date"]) == (None, None)


def test_a_run_without_an_id_gets_one(admin: Api) -> None:
    """Without an id Airflow makes one from the moment."""
    answer = admin.trigger("quick_success")
    assert answer.status_code == 200
    assert answer.json()["dag_run_id"].startswith("manual__20")


def test_a_run_id_is_used_once(admin: Api) -> None:
    """A second run under one id is a 409; under another DAG it is not."""
    run_id = new_id()
    assert admin.trigger("quick_success", dag_run_id=run_id).status_code == 200
    assert admin.trigger("quick_success", dag_run_id=run_id).status_code == 409
    assert admin.trigger("nightly_sales", dag_run_id=run_id).status_code == 200


def test_a_logical_date_is_used_once(admin: Api) -> None:
    """A second run of one logical date is a 409, and nothing is made under its id."""
    date, run_id = random_date(), new_id()
    first = admin.trigger("quick_success", dag_run_id=new_id(), logical_date=date)
    assert first.status_code == 200
    assert first.json()["logical_date"].replace("Z", "+00:00") == date
    assert admin.trigger("quick_success", dag_run_id=run_id, logical_date=date).status_code == 409
    assert admin.get(f"/dags/quick_success/dagRuns/{run_id}").status_code == 404


def test_a_conf_against_the_params(admin: Api) -> None:
    """A conf that the params refuse is a 400 in the words of jsonschema; an unknown key in it is
    none.
    """
    run_id = new_id()
    answer = admin.trigger("nightly_sales", dag_run_id=run_id, conf={"region": "MOON"})
    assert answer.status_code == 400
    assert (
        "Invalid input for param region: 'MOON' is not one of ['AMER', 'APAC', 'EMEA']\n\nFailed"
        in reason(answer)
    )
    assert admin.get(f"/dags/nightly_sales/dagRuns/{run_id}").status_code == 404
    assert admin.trigger("nightly_sales", conf={"region": "APAC", "unknown": 1}).status_code == 200


@pytest.mark.parametrize("prefix", ["scheduled__", "backfill__"])
def test_reserved_run_ids(admin: Api, prefix: str) -> None:
    """Ids that Airflow makes itself are a 400."""
    answer = admin.trigger("quick_success", dag_run_id=f"{prefix}{new_id()}")
    assert answer.status_code == 400
    assert "since it is reserved for" in reason(answer)


def test_no_run_of_an_unknown_dag(admin: Api) -> None:
    """The trigger of an unknown DAG is a 404 that names it."""
    answer = admin.trigger(NOBODY)
    assert answer.status_code == 404
    words = "DAG not found: DAG with dag_id: '{}' not found"
    words = words if admin.version == "2.11.2" else "Dag with dag_id: '{}' not found"
    assert reason(answer) == words.format(NOBODY)
