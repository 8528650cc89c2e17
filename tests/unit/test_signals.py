"""Signals: noted at any time, interrupting only where that is allowed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from entrypoint.signals import Interrupted, Interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Installed handlers; the former ones come back afterwards."""
    former = {number: signal.getsignal(number) for number in SIGNALS}
    installed = Interrupts()
    installed.install()
    yield installed
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts_between_arm_and_disarm(
    interrupts: Interrupts, number: signal.Signals
) -> None:
    """An armed process stops what it is doing."""
    interrupts.arm()
    with pytest.raises(Interrupted):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_start_up_interrupts_as_soon_as_that_is_allowed(
    interrupts: Interrupts, number: signal.Signals
) -> None:
    """A cancel that comes while modules are still imported is not lost and tears nothing apart."""
    signal.raise_signal(number)
    with pytest.raises(Interrupted):
        interrupts.arm()


def test_a_second_signal_does_not_disturb_the_stop(interrupts: Interrupts) -> None:
    """The SIGTERM that follows 7.5 s later leaves the stop of the run and the report alone."""
    interrupts.arm()
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)


def test_a_signal_during_the_report_is_only_noted(interrupts: Interrupts) -> None:
    """After disarm nothing is torn apart any more."""
    interrupts.arm()
    interrupts.disarm()
    signal.raise_signal(signal.SIGINT)


def test_no_except_clause_for_failures_swallows_it() -> None:
    """Whoever catches Exception around a request does not catch a cancel."""
    assert not issubclass(Interrupted, Exception)
