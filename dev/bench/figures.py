"""The figures' labels and formats, in the order of the tables. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the tables.

    Attributes:
        label: heading with the unit
        digits: number of decimals
        ratio: whether a ratio to another row makes sense
    """

    label: str
    digits: int
    ratio: bool = True


FIGURES = {
    "compressed": Figure("pulled (gzip), MB", 1),
    "cold": Figure("cold page cache, s", 2),
    "warm": Figure("warm page cache, s", 2),
    "cpu_to_request": Figure("CPU to the first request, s", 2),
    "imports": Figure("CPU until everything is imported, s", 2),
    "refused": Figure("`docker run` with an input mistake, s", 2),
    "cpu_in_container": Figure("CPU to the trigger POST, s", 2),
    "until_trigger": Figure("`docker run` to the trigger POST, s", 2),
    "cpu_to_trigger": Figure("CPU to the trigger POST, no container, s", 2),
    "cpu": Figure("CPU of the whole run, s", 2),
    "requests": Figure("requests", 0),
    "kib": Figure("KiB, both ways", 0),
    "seen_after": Figure("end seen after, s", 1, ratio=False),
    "exited_after": Figure("exited after the end, s", 1, ratio=False),
    "peak": Figure("peak memory, MiB", 0),
    "installed": Figure("installed, MiB", 1),
    "server": Figure("api-server CPU, ms per waiter and minute", 0),
    "asked": Figure("requests per waiter and minute", 1),
    "p50": Figure("other client's GET, ms: p50", 0, ratio=False),
    "p95": Figure("p95", 0, ratio=False),
    "slowest": Figure("slowest", 0, ratio=False),
    "failed_gets": Figure("failed GETs", 0, ratio=False),
    "wrong": Figure("wrong results", 0, ratio=False),
    "retries": Figure("failed requests in logs", 0, ratio=False),
    "lasted": Figure("first trigger to last end, s", 0),
    "scheduler": Figure("scheduler CPU, s", 1),
    "gap": Figure("longest time between its heartbeats, s", 1, ratio=False),
    "resident": Figure("its memory afterwards, MiB", 0),
    "reported": Figure("runs reported", 0, ratio=False),
    "twice": Figure("twice", 0, ratio=False),
    "given_up": Figure("given up, and logged", 0, ratio=False),
    "gone_after": Figure("gone after SIGTERM, s", 1, ratio=False),
}
