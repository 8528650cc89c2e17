"""Another client, which requests a DAG every half second.

A process of its own, so that nothing else here slows it down. It reads URL, token and seconds as
JSON from stdin, and prints the seconds of each GET and the number of failures.
"""

from __future__ import annotations

import json
import sys
import time

import requests

_PAUSE = 0.5  # seconds between two requests
_TIMEOUT = 30.0  # seconds


def main() -> None:
    """Send requests until the time is over."""
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
