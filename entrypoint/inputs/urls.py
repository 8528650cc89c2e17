"""URLs from inputs: what is no URL, or would carry a secret, is refused, and never quoted."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from entrypoint.inputs.parsers import ParseError

_HOST = re.compile(r"(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?", re.ASCII)
_URL_TAIL = re.compile(r"(?:/home|/api/v[12]|/)+\Z")


def _split_url(text: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - the property is what checks the port
    except ValueError:
        raise ParseError("it is not a URL.", f"Write one like {example}.") from None
    return parts


def base_url(text: str) -> str:
    """Parse the base URL of the Airflow UI: `/home`, `/api/v1`, `/api/v2` and slashes at its end
    are cut.
    """
    parts = _checked(text, ("http", "https"), "https://airflow.example.com")
    if parts.query or parts.fragment:
        raise ParseError(
            "it has a query or a fragment.", "Give the base URL only, up to the path prefix."
        )
    return urlunsplit((parts.scheme, parts.netloc, _URL_TAIL.sub("", parts.path), "", ""))


def canonical_url(url: str) -> str:
    """Return a base URL so that two of one place are equal: capitals in the host, a usual port and
    slashes at the end go.

    Raises:
        ValueError: it is no URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it does not lead to a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = parts.port is None or parts.port == {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}{'' if usual else f':{parts.port}'}{parts.path.rstrip('/')}"


def token_url(text: str) -> str:
    """Parse the URL of a token endpoint: https only, since it is sent a secret."""
    if text.lower().startswith("http:"):
        raise ParseError(
            "it is not https.", "A client secret is never sent in clear: give the https address."
        )
    parts = _checked(text, ("https",), "https://login.example.com/oauth2/token")
    if parts.query or parts.fragment:
        raise ParseError("it has a query or a fragment.", "Give the address alone.")
    return text


def _checked(text: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    """Return the parts of a URL that leads to a host, and holds no user."""
    parts = _split_url(text, example)
    if parts.username is not None or parts.password is not None:
        raise ParseError(
            "it contains a user name or password.", "Use the inputs for credentials instead."
        )
    if parts.scheme not in schemes or not parts.hostname:
        raise ParseError(f"it is not an {' or '.join(schemes)} URL.", f"Write one like {example}.")
    if not re.fullmatch(r"[\x21-\x7e]+", text) or "\\" in text:
        raise ParseError(
            "it contains a blank or a character that URLs do not allow.",
            "Percent-encode or remove it.",
        )
    if not _is_host(parts.hostname, bracketed="[" in parts.netloc):
        raise ParseError("what follows the // is not a host name.", f"Write one like {example}.")
    return parts


def _is_host(text: str, *, bracketed: bool) -> bool:
    """Whether it is a name that can be looked up, or an IPv6 address if it stands in brackets."""
    with suppress(ValueError):
        return ip_address(text).version == 6 if bracketed else bool(_HOST.fullmatch(text))
    return False
