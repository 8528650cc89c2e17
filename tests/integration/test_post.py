"""The post stage after a kill, against the scripted server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import password_of
from dev.runner import Process, Step
from tests.support.fake_airflow import FakeAirflow, FakeDag, Version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_the_post_stage_needs_no_file_of_the_workspace(version: Version, tmp_path: Path) -> None:
    """A conf_file that is gone by then does not keep the post stage from stopping the run."""
    conf = tmp_path / "conf.json"
    conf.write_text('{"region": "APAC"}', encoding="utf-8")
    with FakeAirflow(version, dags=[FakeDag("sales", looks=10**6)]) as fake:
        inputs = {"airflow_url": fake.url, "username": "admin", "password": password_of("admin"), "dag_id": "sales"}
        step = Step(inputs | {"conf_file": conf.name}, launcher=Process(), workspace=tmp_path)
        with step.start() as running:
            running.wait_for("Follow it")
            running.kill()
            running.wait()
        conf.unlink()
        post = step.run("post")
        (run,) = fake.runs("sales")
    assert (run.state, run.conf) == ("failed", {"region": "APAC"})
    assert post.exit_code == 0, post.log


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_a_second_post_stage_changes_nothing(version: Version, tmp_path: Path) -> None:
    """The post stage is idempotent: what is stopped stays stopped, and is not reported as an error."""
    with FakeAirflow(version, dags=[FakeDag("sales", looks=10**6)]) as fake:
        inputs = {"airflow_url": fake.url, "username": "admin", "password": password_of("admin"), "dag_id": "sales"}
        step = Step(inputs, launcher=Process(), workspace=tmp_path)
        with step.start() as running:
            running.wait_for("Follow it")
            running.kill()
            running.wait()
        codes = [step.run("post").exit_code for _ in range(2)]
        stops = [request for request in fake.record if request.method == "PATCH" and b"state" in request.body]
    assert codes == [0, 0]
    assert len(stops) == 1
