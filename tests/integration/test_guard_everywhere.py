"""The guard against leaks listens to gates in the tests' own process, and no test of any folder is
without it.
"""

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
from tests.support import guard
from tests.support import known_secrets as ledger
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.leaks import LEAKS, SECRET, TOKEN, places
from tests.support.secrets import SHORTEST
from tests.support.step import run_gate

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
HERE: dict[str, Callable[[str], str]] = {
    "the raw stream": "a {} b\n".format,
    "the notice's message": lambda text: f"::notice::{text.replace('%', '%25')}\n",
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("place", HERE)
def test_a_gate_in_this_process(
    tmp_path: Path, place: str, leak: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed in any form while a gate runs is seen, and passed on; what the main stage has
    masked before is not.
    """
    with guard.listening({}, {}, tmp_path) as ear:
        ledger.note(SECRET)
        sys.stdout.write(HERE[place](LEAKS[leak]))
    assert places(guard.leaks()) == {place, "the raw stream"}
    assert capsys.readouterr().out == ear.getvalue()

    with guard.listening({"password": SECRET}, {}, tmp_path):
        sys.stdout.write(HERE[place](SECRET))
    assert guard.leaks() == []


def test_a_gate_in_this_process_whose_words_are_printed_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the gate hands on to be printed counts as well, though it is not printed."""
    with guard.listening({}, {}, tmp_path) as ear:
        ledger.note(SECRET)
        ear.keep(SECRET)

    assert places(guard.leaks()) == {"the raw stream"}
    assert capsys.readouterr().out == ""


def test_the_gate_itself() -> None:
    """The gate that tests run in this process is listened to, whatever it shows a part of its token
    in.
    """
    token = "deploy-of-Zq8-x7-Zq8-x7"
    with FakeAirflow(dags=[FakeDag("sales")], accept=lambda _: "admin") as fake:
        for dag_id, run_id, result, seen in (
            ("sales", "deploy-1", "success", set[str]()),
            ("sales", token[:11], "success", {"the raw stream"}),
            (token[:11], "deploy-1", "error", {"the raw stream"}),
        ):
            outcome = run_gate(
                fake, dag_id=dag_id, run_id=run_id, token=token, username="", password=""
            )

            assert outcome.result == result
            assert places(guard.leaks()) == seen


@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_begins_anew(time: str) -> None:
    """What was a secret in one test is none in the next."""
    assert ledger.note_with_marker() == set()
    ledger.note(f"the secret of the {time} time")


LEAKY_SUITE = """
import itertools
import pathlib
import pytest
from tests.support import guard

COUNT = itertools.count()

def leak():
    with guard.listening({}, {}, pathlib.Path()):
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
"""A plugin in which no test and no fixture does anything: each test leaks, every second one when it
is torn down.
"""


def test_no_test_is_without_the_guard(tmp_path: Path) -> None:
    """In every folder a test that leaks is red, even one with real parts, which are repeated for
    anything else.
    """
    (tmp_path / "leaky_suite.py").write_text(LEAKY_SUITE.replace("TOKEN", TOKEN))
    first = {path.parent: path for path in sorted(ROOT.glob("tests/*/test_*.py"), reverse=True)}
    done = subprocess.run(
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

    red = re.findall(
        r"^(FAILED|ERROR) tests/(\w+)/.* - tests\.support\.guard\.Leak: ", done.stdout, re.MULTILINE
    )
    assert {*red} == set(product(("FAILED", "ERROR"), (folder.name for folder in first))), (
        done.stdout
    )
    failed, errors = ([kind for kind, _ in red].count(kind) for kind in ("FAILED", "ERROR"))
    assert done.stdout.splitlines()[-1].startswith(
        f"{failed} failed, {errors} passed, {errors} errors in "
    )


@pytest.mark.parametrize("name", ROLES)
def test_passwords_can_be_looked_for(name: str) -> None:
    """The password of every user is long enough for its halves to be found, and JSON and URLs make
    something else of it.
    """
    password = password_of(name)

    assert len(password) >= 2 * SHORTEST
    assert (
        len({password, json.dumps(password)[1:-1], quote(password), quote(password, safe="")}) == 4
    )


def test_too_short_to_look_for() -> None:
    """A stand-in that issues a secret that would be found by chance is told so."""
    with pytest.raises(ValueError, match="too short"):
        ledger.note("admin")
