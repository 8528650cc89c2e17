"""Somebody else who looks at a DAG every half second: a process of its own, so that nothing else in
ours slows it down.

Reads URL, token and seconds as JSON from standard input; prints the seconds that each GET took, and
how many failed.
"""

from __future__ import annotations

import json
import sys
import time

import requests

_PAUSE = 0.5
_TIMEOUT = 30.0


def main() -> None:
    """Look until the time is over."""
    order = json.load(sys.stdin)
    took, failed = [], 0
    deadline = time.monotonic() + order["seconds"]
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = order["authorization"]
        while (began := time.monotonic()) < deadline:
            try:
                failed += not session.get(order["url"], timeout=_TIMEOUT).ok
            except requests.RequestException:
                failed += 1
            took.append(time.monotonic() - began)
            time.sleep(max(0.0, _PAUSE - took[-1]))
    print(json.dumps({"took": took, "failed": failed}))


if __name__ == "__main__":
    main()
