"""The two forms of the action, which the same tests start: the image, and native/ without Docker.

Most tests run once, in the image; those with `both_forms` in both. FORM=native runs all of them
with native/, as a job of CI does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dev.runner import Container, Native

if TYPE_CHECKING:
    from collections.abc import Callable

FORMS = (os.environ["FORM"],) if os.environ.get("FORM") else ("image", "native")
both_forms = pytest.mark.parametrize("form", FORMS, indirect=True)

AnyLauncher = Container | Native
if TYPE_CHECKING:
    MakeLauncher = Callable[[], AnyLauncher]
