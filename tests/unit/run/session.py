"""A session on a virtual clock whose HTTP clients are scripted."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoint.http.response import AIRFLOW
from entrypoint.inputs.settings import parse_settings
from entrypoint.report.console import Console
from entrypoint.runners import github as commands
from entrypoint.session import Session
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Service
    from tests.unit.script import ScriptedAdapter


class ScriptedSession(Session):
    def __init__(self, script: ScriptedAdapter, inputs: dict[str, str]) -> None:
        self.time = VirtualTime()
        self.settings = parse_settings(inputs, Path("/github/workspace"))
        self._script = script
        super().__init__(
            self.settings,
            self.time.clock,
            self.time.sleep,
            commands,
            Console(self.time.clock, commands),
        )

    def deadline(self, seconds: float, per_request: float = inf) -> Deadline:
        self.last_deadline = super().deadline(seconds, per_request)
        return self.last_deadline

    def http_client(
        self, service: Service = AIRFLOW, *, send_client_certificate: bool = False
    ) -> HttpClient:
        assert not send_client_certificate
        return self._script.client(service)
