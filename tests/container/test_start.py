"""What the image weighs and how fast it starts, in comparison with its whole base.

`make bench` measures the same with more care (scene `start`); these bounds only notice a loss.
"""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING

from dev.image import base, import_cpu, on_base, refusal, unpack_action
from dev.image import main as print_figures

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MEGABYTES = 16
"""Most that a user may have to pull; the base alone has 43."""
CPU_SECONDS = 0.4
"""Most CPU until everything is imported. It is 0.17 s; the rest is for busy machines."""
ROUNDS = 6
"""Most times that the starts are compared, each with two starts of both."""


def test_the_image_is_small_and_starts_with_little_cpu(
    image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make image` prints these figures."""
    print_figures(image)
    printed = capsys.readouterr().out
    with capsys.disabled():
        print(f"\n{printed}", end="")
    weight, unpacked = map(float, re.findall(r"([\d.]+) MB", printed))
    (cpu,) = map(float, re.findall(r"^start: ([\d.]+) s of CPU", printed, re.MULTILINE))

    assert weight < MEGABYTES < unpacked
    assert 0 < cpu < CPU_SECONDS
    assert re.search(r"^\d distributions: \S+ \d.*\brequests \d", printed, re.MULTILINE)


def test_a_refused_step_takes_about_half_of_its_time_on_the_whole_base(
    image: str, tmp_path: Path
) -> None:
    """The base has no bytecode of the standard library. Both times include the engine's own.

    Other programs only make a start slower, so the fastest of some starts of each counts.
    """
    unpack_action(image, tmp_path)
    options, command = on_base(image, tmp_path)
    ours = on_whole_base = inf
    for _ in range(ROUNDS):
        ours = min(ours, *refusal(image, runs=2))
        on_whole_base = min(
            on_whole_base, *refusal(base(), *command, options=tuple(options), runs=2)
        )
        if ours < 0.6 * on_whole_base:
            break

    assert ours < 0.6 * on_whole_base


def test_imports_cost_at_most_half_of_the_cpu_on_the_whole_base(image: str, tmp_path: Path) -> None:
    unpack_action(image, tmp_path)
    (mount, _), _ = on_base(image, tmp_path)

    assert import_cpu(image, runs=3) < 0.5 * import_cpu(base(), mount, runs=3)
