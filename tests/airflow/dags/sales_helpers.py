"""What `chained_failure` calls: a module beside the file that uses it, in which the first exception
of the chain is raised.
"""

from __future__ import annotations


def parse_amount(text: str) -> float:
    """Reads an amount of money."""
    if not text.replace(".", "", 1).isdigit():
        raise ValueError(f"Not an amount: {text!r}")
    return float(text)


def total(amounts: list[str]) -> float:
    """Adds amounts up; there is one more frame because of it."""
    return sum(parse_amount(amount) for amount in amounts)
