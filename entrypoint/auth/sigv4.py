"""Sign a request without a query for AWS (Signature Version 4).

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html; the
tests compare it with botocore.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.credentials import AwsKeys


def signed(
    url: str,
    region: str,
    service: str,
    keys: AwsKeys,
    now: datetime,
    *,
    method: str = "POST",
    body: bytes = b"",
    content_type: str = "",
) -> dict[str, str]:
    """Return the headers that sign a request.

    Args:
        url: https URL without port or query, its path already quoted.
        region: AWS region.
        service: AWS name of the service in signatures.
        keys: AWS keys that sign.
        now: current time in UTC.
        method: HTTP method.
        body: body of the request.
        content_type: value of its header `Content-Type`, empty if it has none.
    """
    parts = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-date": stamp}
    if keys.session_token is not None:
        headers["x-amz-security-token"] = keys.session_token.reveal()
    if content_type:
        headers["content-type"] = content_type
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    digest = hashlib.sha256(body).hexdigest()
    request = f"{method}\n{parts.path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_access_key.reveal()}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    for name in ("host", "content-type"):
        headers.pop(name, None)  # the request has them already
    credential = f"Credential={keys.access_key_id}/{scope}"
    return headers | {
        "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, "
        f"Signature={signature}"
    }
