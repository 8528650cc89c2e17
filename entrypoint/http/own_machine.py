"""Tell which addresses mean the machine that sends the request, and what to use instead.

On GitHub this machine is the container of the step, which has a loopback of its own
(docs/notes/runner.md#network-of-a-container).
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import inet_aton
from urllib.parse import urlsplit

from entrypoint import form

_LOOPBACK_NAMES = frozenset(
    {
        "localhost",
        "localhost.localdomain",
        "localhost4",
        "localhost6",
        "ip6-localhost",
        "ip6-loopback",
    }
)
"""Names in the file /etc/hosts of common systems. RFC 6761 adds every name below `localhost`."""
_HOST_NAMES = (".docker.internal", ".containers.internal")
"""Ends of the names that Docker Desktop and Podman give to the machine on which they run."""
_SERVICE_HINT = (
    "If Airflow is a service container of this job, give its name in `services`, like "
    "http://airflow:8080. "
)


def reach_advice(url: str) -> str:
    """Return what to use in place of an address that only seems to name the runner, else ""."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host.endswith(_HOST_NAMES):
        return (
            f"Give another address than {host}, a name that a runner on Linux does not have. "
            f"{_SERVICE_HINT}If it runs on the runner itself, give the runner's address in its "
            "network. "
        )
    if form.FROM_FILE or not is_own_machine(host):
        return ""
    return (
        f"Give another address than {host}: the action runs in a container, where this is the "
        f"container itself and not the runner. {_SERVICE_HINT}If it runs on the runner itself, use "
        "the action without Docker (`native`), or give the runner's address in its network. "
    )


def is_own_machine(host: str) -> bool:
    """Return whether a host name or an address, in any notation, means the machine itself."""
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return True
    address: IPv4Address | IPv6Address | None = None
    with suppress(OSError, ValueError):
        address = IPv4Address(inet_aton(host))  # also 127.1 and 2130706433
    with suppress(ValueError):
        address = ip_address(host)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address is not None and (address.is_loopback or address.is_unspecified)
