"""Signals interrupt the process only while armed."""

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
    """Install the handlers and restore the previous ones afterwards."""
    former = {number: signal.getsignal(number) for number in SIGNALS}
    installed = Interrupts()
    installed.install()
    yield installed
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_interrupts_between_arm_and_disarm(
    interrupts: Interrupts, number: signal.Signals
) -> None:
    interrupts.arm()
    with pytest.raises(Interrupted):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_during_start_up_interrupts_when_armed(
    interrupts: Interrupts, number: signal.Signals
) -> None:
    signal.raise_signal(number)
    with pytest.raises(Interrupted):
        interrupts.arm()


def test_second_signal_does_not_interrupt_the_stop(interrupts: Interrupts) -> None:
    """The runner sends SIGTERM 7.5 s after SIGINT."""
    interrupts.arm()
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)


def test_signal_after_disarm_is_only_recorded(interrupts: Interrupts) -> None:
    interrupts.arm()
    interrupts.disarm()
    signal.raise_signal(signal.SIGINT)


def test_except_exception_does_not_catch_a_signal() -> None:
    assert not issubclass(Interrupted, Exception)
