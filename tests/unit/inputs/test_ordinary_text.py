"""Secrets that occur in ordinary text."""

import pytest

from entrypoint.inputs.ordinary_text import ordinary_secrets

PLAIN = {
    "airflow_url": "https://sales.example.com/Q7zK",
    "dag_id": "nightly_J8vX",
    "username": "w0dT-mona",
}


@pytest.mark.parametrize(
    ("secret", "found"),
    [
        # Words of a log, passwords of examples, and parts of them.
        *((word, True) for word in ("airflow", "Airflow", "ADMIN", "password", "success", "run")),
        *((word, True) for word in ("a", "2026", "12345678", "true", "ucces", "{", "},", "None")),
        # Text of this step.
        *((word, True) for word in ("Q7zK", "J8vX", "w0dT-mona", "mona", "octo-org/sa1es")),
        # A multi-line secret is masked line by line.
        ('{\n"key": "s3cr-3T"\n}', True),
        ("s3cr-3T\ns3cr-4T\n", False),
        *((word, False) for word in ("x7q", "hunter2", "correct horse", "zQ8/+pa55w0rd", "", " ")),
    ],
)
@pytest.mark.parametrize("name", ["token", "password", "client_secret"])
def test_secret_that_occurs_in_ordinary_text_is_named(name: str, secret: str, found: bool) -> None:
    named = list(ordinary_secrets({**PLAIN, name: secret}, ["octo-org/sa1es"]))

    assert named == ([name] if found else [])


def test_values_of_headers_count_and_short_secrets_may_not_be_masked() -> None:
    headers = "X-Org: sales\nX-Key: k3y-Zq8"
    inputs = {"headers": headers, "password": "run", "token": "airflow"}

    assert list(ordinary_secrets(inputs, [])) == ["token", "password", "headers"]
    assert list(ordinary_secrets(inputs, [], 4)) == ["token", "headers"]
    assert list(ordinary_secrets({"headers": headers.partition("\n")[2]}, [])) == []
