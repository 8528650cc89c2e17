"""Parse URLs from inputs. Refuse URLs that may contain a secret, and never quote one."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from entrypoint.inputs.parsers import ParseError

_HOST = re.compile(r"(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?", re.ASCII)
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_URL_TAIL = re.compile(r"(?:/home|/api/v[12]|/)+\Z")


def _split_url(text: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - the property validates the port
    except ValueError:
        raise ParseError("it is not a URL.", f"Write one like {example}.") from None
    return parts


def _with_ascii_host(parts: SplitResult, example: str) -> SplitResult:
    """Return the URL with the host name as it is in DNS, for example `xn--bcher-kva.example`."""
    host = parts.hostname or ""
    if host.isascii():
        return parts
    # Imported here, because hardly any URL needs it.
    import idna  # noqa: PLC0415

    try:
        host = idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, ValueError):
        raise ParseError(
            "the part after // is not a host name.", f"Write one like {example}."
        ) from None
    return parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}")


def base_url(text: str) -> str:
    """Parse the base URL of Airflow. Cut `/home`, `/api/v1`, `/api/v2` and slashes at its end."""
    parts = _split_checked(text, ("http", "https"), "https://airflow.example.com")
    if parts.query or parts.fragment:
        raise ParseError(
            "it has a query or a fragment.", "Give the base URL only, up to the path prefix."
        )
    return urlunsplit((parts.scheme, parts.netloc, _URL_TAIL.sub("", parts.path), "", ""))


def canonical_url(url: str) -> str:
    """Return the canonical form of a base URL, which is equal for equal addresses.

    It has a lower-case host, no default port, and no slashes at the end.

    Raises:
        ValueError: it is not an http or https URL with a host.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is not an http or https URL with a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_default = parts.port is None or parts.port == {"http": 80, "https": 443}.get(parts.scheme)
    return (
        f"{parts.scheme}://{host}{'' if is_default else f':{parts.port}'}{parts.path.rstrip('/')}"
    )


def token_url(text: str) -> str:
    """Parse the URL of a token endpoint. Only https, because it receives a secret."""
    if text.lower().startswith("http:"):
        raise ParseError(
            "it is not https.",
            "Give the https URL, because the action never sends a client secret unencrypted.",
        )
    parts = _split_checked(text, ("https",), "https://login.example.com/oauth2/token")
    if parts.query or parts.fragment:
        raise ParseError("it has a query or a fragment.", "Give the URL without them.")
    return text if text.isascii() else urlunsplit(parts)


def _split_checked(text: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    """Return the parts of a URL that has a valid host, in ASCII, and no user name."""
    parts = _split_url(text, example)
    if parts.username is not None or parts.password is not None:
        raise ParseError(
            "it contains a user name or password.", "Use the inputs for credentials instead."
        )
    if parts.scheme not in schemes or not parts.hostname:
        raise ParseError(f"it is not an {' or '.join(schemes)} URL.", f"Write one like {example}.")
    parts = _with_ascii_host(parts, example)
    if _NOT_IN_URL.search(text) or not urlunsplit(parts).isascii():
        raise ParseError(
            "it contains a space or a character that URLs do not allow.",
            "Percent-encode or remove it.",
        )
    if not _is_host(parts.hostname or "", bracketed="[" in parts.netloc):
        raise ParseError("the part after // is not a host name.", f"Write one like {example}.")
    return parts


def _is_host(text: str, *, bracketed: bool) -> bool:
    """Return whether the text is a host name, or an IPv6 address if `bracketed`."""
    with suppress(ValueError):
        return ip_address(text).version == 6 if bracketed else bool(_HOST.fullmatch(text))
    return False
