"""Steps at the doors of the real Airflows: let in, turned away, or with a credential that dies
during the wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Barrier
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.airflow.job import PATIENCE, patch, post, until
from tests.airflow.services import CLIENT, NOBODY, WRONG
from tests.support.keycloak import SERVICE

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.scenario import Stage
    from tests.airflow.services import Door
    from tests.support.keycloak import Keycloak

WAITING = "behind_doors"
"""The DAG whose runs wait until it is unpaused."""
REFUSED = "refused-"
"""How the id of each DAG run begins that no step may have made."""
_SESSION_ONLY = {"AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.session"}
"""What Airflow 2 sets by default."""
_PATIENTLY = {"if_paused": "queue", "poll_interval": "5"}


@dataclass(frozen=True, slots=True)
class Through:
    """The plays in front of Airflow 3, on a stage of their own: each by the name of its door and of
    what happens there.
    """

    stage: Stage
    doors: dict[str, Door]

    def perform(self, keycloak: Keycloak) -> Through:
        """Begin all plays beside each other, since mostly they wait for a token to die, and see
        them to their end.
        """
        stage, airflow = self.stage, self.stage.airflow
        client = self.doors[CLIENT]
        stage.begin(f"{CLIENT}, poor", _poor_client, client, keycloak)
        stage.over(f"{CLIENT}, poor")
        dead = Barrier(len(self.doors), lambda: airflow.pause(WAITING, False), PATIENCE)
        for name, door in self.doors.items():
            stage.begin(f"{name}, renewed", _renewed, door, dead)
        for name, door in self.doors.items():
            stage.begin(f"{name}, outlived", _outlived, door)
        for name in ("FAB", "Keycloak", CLIENT):
            stage.begin(f"{name}, wrong", _refused, self.doors[name].url, self.doors[name].wrong)
        for name in ("FAB", "Keycloak"):
            stage.begin(f"{name}, poor", _refused, self.doors[name].url, self.doors[name].poor)
        for name in ("simple", "FAB"):
            stage.begin(f"{name}, client", _refused, self.doors[name].url, client.good)
        stage.end()
        return self


def through_2(stage: Stage) -> None:
    """Perform the plays in front of Airflow 2."""
    user = stage.credential("user")
    stage.begin("changed", _changed)
    with stage.airflow.door(_SESSION_ONLY) as server:
        stage.begin("session only", _refused, server.url, user)
        stage.begin("session only, wrong", _refused, server.url, user | {"password": WRONG})
        stage.end()


def _outlived(stage: Stage, door: Door) -> StepResult:
    """A step with a ready token, which dies before the DAG run may go on."""
    return stage.run(WAITING, airflow_url=door.url, token=door.token(), **NOBODY, **_PATIENTLY)


def _renewed(stage: Stage, door: Door, dead: Barrier) -> StepResult:
    """A step whose DAG run may go on when its first token is dead: one that is younger is dead by
    then, at every door.
    """
    with stage.started(WAITING, airflow_url=door.proxy.url, **door.good, **_PATIENTLY) as running:
        younger = door.token()
        until(lambda: door.refuses(younger), "too old")
        dead.wait()
        return running.wait(PATIENCE)


def _refused(stage: Stage, url: str, credential: dict[str, str]) -> StepResult:
    """A step that is not let in, or not let through to the trigger."""
    return stage.refused(
        "quick_success", run_id=f"{REFUSED}{uuid4()}", airflow_url=url, **credential
    )


def _poor_client(stage: Stage, door: Door, keycloak: Keycloak) -> StepResult:
    """A step that comes as the client while that may only look."""
    keycloak.roles[SERVICE] = "viewer"
    try:
        return _refused(stage, door.url, door.poor)
    finally:
        keycloak.roles[SERVICE] = "user"


def _changed(stage: Stage) -> StepResult:
    """A step with the password of a user of Airflow 2, which somebody changes while the DAG run
    waits.
    """
    name = f"changing-{uuid4()}"
    before, after = f"the-first-password-of-{name}", f"the-second-password-of-{name}"
    person = {
        "username": name,
        "email": f"{name}@example.com",
        "first_name": name,
        "last_name": name,
    }
    post(stage.airflow, "/users", {**person, "password": before, "roles": [{"name": "User"}]})
    with stage.started(WAITING, username=name, password=before, **_PATIENTLY) as running:
        patch(stage.airflow, f"/users/{name}?update_mask=password", **person, password=after)
        return running.wait(PATIENCE)
