"""A task that prints and raises workflow commands and markup.

It also prints as many lines as the param `lines` says.
"""

from __future__ import annotations

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models import Param

HOSTILE = (
    "::error::x",
    "##[error]x",
    "::set-output name=a::b",
    "::add-mask::e",
    "::stop-commands::x",
    "::endgroup::",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "carriage\r::error::return",
    "</details><script>alert(1)</script>",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "```` ``` ` ````",
    "<!-- @everyone ![x](https://example.com/x.png) [x](javascript:alert(1))",
)


@dag(
    schedule=None,
    catchup=False,
    params={"lines": Param(200_000, type="integer", minimum=0)},
    default_args={"retries": 0},
)
def hostile_log() -> None:
    @task
    def shout(params: dict[str, int] | None = None) -> None:
        for line in HOSTILE:
            print(line)
        lines = [f"Line {number} of a very long log" for number in range((params or {})["lines"])]
        for first in range(0, len(lines), 1000):
            print(
                "\n".join(lines[first : first + 1000])
            )  # single prints would take Airflow 2 minutes
        for line in HOSTILE:
            print(line)
        raise RuntimeError("\n".join(HOSTILE))

    shout()


hostile_log()
