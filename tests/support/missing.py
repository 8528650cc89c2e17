"""What a test needs and this machine may lack. It knows nothing of what is missing but its name."""

import os
from typing import NoReturn

import pytest


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the test, saying how to get what it needs; in CI, where everything has to be there, fail
    it.
    """
    reason = f"{what}. {remedy}."
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
