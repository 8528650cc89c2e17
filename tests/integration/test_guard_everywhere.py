"""The leak guard watches steps in the test process too, and covers every folder of tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from dev.airflow_settings import ROLES, password_of
from tests.support import known_secrets, leak_guard
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.leaks import LEAKS, SECRET, TOKEN, places
from tests.support.secrets import MIN_LENGTH
from tests.support.step import run_against

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
OUTPUTS: dict[str, Callable[[str], str]] = {
    "the raw stream": "a {} b\n".format,
    "the notice's message": lambda text: f"::notice::{text.replace('%', '%25')}\n",
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("place", OUTPUTS)
def test_a_leak_of_a_step_in_this_process_is_found(
    tmp_path: Path, place: str, leak: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output is still printed. A secret that is masked first is no leak."""
    with leak_guard.capture_output({}, {}, tmp_path) as output:
        known_secrets.add(SECRET)
        sys.stdout.write(OUTPUTS[place](LEAKS[leak]))
    assert places(leak_guard.new_leaks()) == {place, "the raw stream"}
    assert capsys.readouterr().out == output.getvalue()

    with leak_guard.capture_output({"password": SECRET}, {}, tmp_path):
        sys.stdout.write(OUTPUTS[place](SECRET))
    assert leak_guard.new_leaks() == []


def test_output_that_is_handed_on_instead_of_printed_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with leak_guard.capture_output({}, {}, tmp_path) as output:
        known_secrets.add(SECRET)
        output.add(SECRET)

    assert places(leak_guard.new_leaks()) == {"the raw stream"}
    assert capsys.readouterr().out == ""


def test_a_part_of_the_token_in_a_real_step_is_found() -> None:
    token = "deploy-of-Zq8-x7-Zq8-x7"
    with FakeAirflow(dags=[FakeDag("sales")], accept=lambda _: "admin") as fake:
        for dag_id, run_id, result, leaks in (
            ("sales", "deploy-1", "success", set[str]()),
            ("sales", token[:11], "success", {"the raw stream"}),
            (token[:11], "deploy-1", "error", {"the raw stream"}),
        ):
            outcome = run_against(
                fake, dag_id=dag_id, run_id=run_id, token=token, username="", password=""
            )

            assert outcome.result == result
            assert places(leak_guard.new_leaks()) == leaks


@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_starts_without_known_secrets(time: str) -> None:
    assert known_secrets.added_since() == set()
    known_secrets.add(f"the secret of the {time} time")


LEAKY_SUITE = """
import itertools
import pathlib
import pytest
from tests.support import leak_guard

COUNT = itertools.count()

def leak():
    with leak_guard.capture_output({}, {}, pathlib.Path()):
        print("TOKEN")

def pytest_fixture_setup(fixturedef, request):
    fixturedef.cached_result = (None, fixturedef.cache_key(request), None)
    return True

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if next(COUNT) % 2:
        leak()
    else:
        pyfuncitem.addfinalizer(leak)
    return True
"""
"""A plugin that replaces each test by a leak, in every second one during its teardown."""


def test_a_leak_fails_a_test_in_every_folder(tmp_path: Path) -> None:
    """Tests with real services, which are repeated after other failures, fail too."""
    (tmp_path / "leaky_suite.py").write_text(LEAKY_SUITE.replace("TOKEN", TOKEN))
    first = {path.parent: path for path in sorted(ROOT.glob("tests/*/test_*.py"), reverse=True)}
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "leaky_suite",
            "-p",
            "no:cacheprovider",
            "--tb=no",
            "-q",
            *first.values(),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    failures = re.findall(
        r"^(FAILED|ERROR) tests/(\w+)/.* - tests\.support\.leak_guard\.Leak: ",
        process.stdout,
        re.MULTILINE,
    )
    assert {*failures} == set(product(("FAILED", "ERROR"), (folder.name for folder in first))), (
        process.stdout
    )
    failed, errors = ([kind for kind, _ in failures].count(kind) for kind in ("FAILED", "ERROR"))
    assert process.stdout.splitlines()[-1].startswith(
        f"{failed} failed, {errors} passed, {errors} errors in "
    )


@pytest.mark.parametrize("name", ROLES)
def test_passwords_are_long_enough_and_change_in_json_and_urls(name: str) -> None:
    """The guard searches for halves of a password, and for its escaped forms."""
    password = password_of(name)

    assert len(password) >= 2 * MIN_LENGTH
    assert (
        len({password, json.dumps(password)[1:-1], quote(password), quote(password, safe="")}) == 4
    )


def test_a_secret_too_short_to_search_for_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        known_secrets.add("admin")
