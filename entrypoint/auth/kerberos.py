"""Authenticate by Kerberos (RFC 4559), with the ticket in the machine's own cache.

The package gssapi is that of the machine's Python; only the file airflow-dag-run.pyz can use it.

Measured: docs/notes/airflow-2.md#kerberos-and-other-backends.
"""

from __future__ import annotations

import base64
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from entrypoint import masking
from entrypoint.auth.authorization import Authorization, Grant
from entrypoint.credentials import Secret
from entrypoint.errors import ActionError, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from entrypoint.credentials import Kerberos
    from entrypoint.deadline import Deadline

_SERVICES = ("airflow", "HTTP")
"""The service of Airflow's own backend, which accepts no other, and that of a gateway in front of
it, in case that Kerberos does not know the first at this host.
"""
_SPNEGO = "1.3.6.1.5.5.2"
_MASKED_TOKENS = 20
"""Number of tokens that are masked. A server accepts a token once, so older ones are worthless."""
_KINIT = "Run kinit before this step, as the user who starts it, or check KRB5CCNAME."


class KerberosAuthorization(Authorization):
    """Adds a new token to each request, because a server accepts a token only once.

    Args:
        kerberos: host of Airflow.
        mask: hides a text in the log.
    """

    def __init__(self, kerberos: Kerberos, mask: Callable[[str], None]) -> None:
        super().__init__(self._grant_of_next_token)
        self._host = kerberos.host
        self._mask = mask
        self._masked: deque[str] = deque()
        self._gssapi = _import_gssapi()

    def _grant_of_next_token(self, deadline: Deadline) -> Grant:
        """Return the grant of a new token, which expires at once.

        Raises:
            Unauthorized: there is no ticket, it has expired, or Kerberos gives none for Airflow.
        """
        del deadline  # the library has timeouts of its own
        principal = self._principal()
        self.refusal_hint = (
            f"Check that Airflow has a user with the name {principal}, which is that of the "
            "ticket, and the API's kerberos_auth backend. On Airflow 2.11 that backend also needs "
            "AUTH_ROLE_PUBLIC = None in webserver_config.py."
        )
        return Grant(Secret(f"Negotiate {self._token(principal)}"), expires=0.0)

    def _principal(self) -> str:
        """Return the name in the ticket.

        Raises:
            Unauthorized: there is no ticket, or it has expired.
        """
        errors = self._gssapi.exceptions
        try:
            return str(self._gssapi.Credentials(usage="initiate").name)
        except errors.ExpiredCredentialsError:
            raise Unauthorized(
                "The Kerberos ticket has expired",
                "A DAG run that this step has started goes on.",
                "Get a ticket that lives as long as the step, or renew it beside the step (kinit "
                "-R, k5start). Re-running this job continues the same DAG run.",
            ) from None
        except errors.GSSError as error:
            raise Unauthorized("There is no Kerberos ticket", _reason(error), _KINIT) from None

    def _token(self, principal: str) -> str:
        reasons = []
        for service in _SERVICES:
            try:
                return self._token_for(f"{service}@{self._host}")
            except self._gssapi.exceptions.GSSError as error:
                reasons.append(_reason(error))
        raise Unauthorized(
            "Kerberos gives no ticket for Airflow",
            f"{principal} asked for {' and '.join(_SERVICES)} at {self._host}: "
            f"{' '.join(dict.fromkeys(reasons))}",
            "Check that airflow_url has the host name for which Airflow's keytab was made, and "
            "that the realm's KDC can be reached from this machine.",
        )

    def _token_for(self, service: str) -> str:
        gssapi = self._gssapi
        name = gssapi.Name(service, gssapi.NameType.hostbased_service)
        mechanism = gssapi.OID.from_int_seq(_SPNEGO)
        context = gssapi.SecurityContext(name=name, usage="initiate", mech=mechanism)
        token = base64.b64encode(context.step()).decode()
        self._mask(token)
        self._masked.append(token)
        if len(self._masked) > _MASKED_TOKENS:
            masking.remove(self._masked.popleft())
        return token


def _reason(error: Any) -> str:
    """Return the reason that the Kerberos library gives, as a sentence."""
    text = error.get_all_statuses(error.min_code, False)
    return " ".join(f"{line.rstrip(chr(0))}." for line in text)


def _import_gssapi() -> ModuleType:
    """Import gssapi from the packages of this Python, which the file does not import otherwise.

    Raises:
        ActionError: it is missing, or its library is.
    """
    import site  # noqa: PLC0415 - only Kerberos needs packages of the machine

    site.main()
    try:
        import gssapi  # noqa: PLC0415 - as above
    except (ImportError, OSError) as error:  # the latter on Windows without a Kerberos library
        raise ActionError(
            "The package gssapi cannot be imported",
            f"{sys.executable}: {error}.",
            "Install it before this step: python -m pip install gssapi, in a virtual environment "
            "whose Python then runs the action. Packages of pip install --user are not used. On "
            "Linux this needs a compiler and the headers of Python and Kerberos (Debian: gcc, "
            "python3-dev and libkrb5-dev).",
        ) from None
    module: ModuleType = gssapi
    return module
