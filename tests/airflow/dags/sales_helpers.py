"""A helper module of `chained_failure`, which raises the first exception of the chain."""

from __future__ import annotations


def parse_amount(text: str) -> float:
    if not text.replace(".", "", 1).isdigit():
        raise ValueError(f"Not an amount: {text!r}")
    return float(text)


def total(amounts: list[str]) -> float:
    """Add amounts; exists for one more frame."""
    return sum(parse_amount(amount) for amount in amounts)
