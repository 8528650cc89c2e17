"""The API of the stand-in of Amazon MWAA, held to botocore: what it signs is let in, and what
differs by a byte is not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import botocore.auth
import pytest
from botocore.exceptions import ClientError

from tests.contract.mwaa import Door, opened
from tests.contract.services import said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """An environment with Airflow 3."""
    with opened(tmp_path) as door:
        yield door


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "cn-north-1"])
def test_aws_s_own_client(tmp_path: Path, region: str) -> None:
    """The client of AWS finds the API by its own idea of the host name, and understands its
    answer.
    """
    with opened(tmp_path, region=region) as door:
        answer = door.botocore().create_web_login_token(Name=door.mwaa.name)
        assert answer["WebServerHostname"] == door.mwaa.web_host
        assert door.mwaa.api.redeem(answer["WebToken"])
        (recorded,) = door.mwaa.api.record
        assert (recorded.method, recorded.path, recorded.body) == (
            "POST",
            f"/webtoken/{door.mwaa.name}",
            b"",
        )
        assert door.tunnel.targets == [f"{door.mwaa.api.host}:443"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "ASIAAAAAAAAAAAAAAAAA"}, "UnrecognizedClientException"),
        ({"aws_session_token": "wrong"}, "UnrecognizedClientException"),
        ({"aws_session_token": None}, "UnrecognizedClientException"),
    ],
    ids=["secret key", "key id", "session token", "no session token"],
)
def test_aws_s_own_client_is_refused(door: Door, options: dict[str, Any], code: str) -> None:
    """With other keys than the environment's, AWS's client is told 403, and what is wrong."""
    with pytest.raises(ClientError) as caught:
        door.botocore(**options).create_web_login_token(Name=door.mwaa.name)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_aws_s_own_client_in_other_trouble(door: Door) -> None:
    """An unknown environment, a right that is missing, and keys that have expired are told
    apart.
    """
    client = door.botocore()
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="other"):
        client.create_web_login_token(Name="other")
    door.mwaa.api.deny()
    with pytest.raises(client.exceptions.AccessDeniedException, match="CreateWebLoginToken"):
        client.create_web_login_token(Name=door.mwaa.name)
    door.mwaa.api.expire_keys()
    with pytest.raises(ClientError) as caught:
        client.create_web_login_token(Name=door.mwaa.name)
    assert caught.value.response["Error"]["Code"] == "ExpiredTokenException"
    assert (
        caught.value.response["Error"]["Message"]
        == "The security token included in the request is expired"
    )


def test_a_signature(door: Door) -> None:
    """What botocore signed is let in when it comes as it was signed."""
    answer = door.send(door.signed())
    assert (answer.status_code, answer.json()["WebServerHostname"]) == (200, door.mwaa.web_host)


@pytest.mark.parametrize("name", ["Authorization", "X-Amz-Date", "X-Amz-Security-Token"])
@pytest.mark.parametrize("place", [-1, -9])
def test_one_byte_of_a_header(door: Door, name: str, place: int) -> None:
    """A request of which one byte in a header differs from what was signed is refused."""
    request = door.signed()
    value = request.headers[name]
    request.headers[name] = (
        value[:place] + ("1" if value[place] == "0" else "0") + value[place:][1:]
    )
    answer = door.send(request)
    assert (answer.status_code, list(answer.json())) == (403, ["message"])


def test_one_byte_of_the_rest(door: Door) -> None:
    """A request with another path, body, query or header of AWS's than was signed is refused."""
    assert door.send(door.signed(), path="/webtoken/sales-proe").status_code == 403
    assert door.send(door.signed(), path=f"/webtoken/{door.mwaa.name}?x").status_code == 403
    assert door.send(door.signed(), body=b"x").status_code == 403
    assert door.send(door.signed(body=b"x"), body=b"x").status_code == 200
    request = door.signed()
    request.headers["X-Amz-Target"] = "unsigned"
    assert door.send(request).status_code == 403


def test_a_signature_for_somewhere_else(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was signed for another region, or at another time, is refused."""
    assert door.send(door.signed(region="us-east-1")).status_code == 403
    for minutes, status in ((-6, 403), (-4, 200), (4, 200), (6, 403)):
        moment = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda moment=moment: moment)
        assert door.send(door.signed()).status_code == status


def test_without_a_signature(door: Door) -> None:
    """No Authorization, one of another kind, and an unknown operation are refused."""
    request = door.signed()
    url = f"https://{door.mwaa.api.host}/webtoken/{door.mwaa.name}"
    assert said(door.client("POST", url)) == (403, {"message": "Missing Authentication Token"})
    assert door.client("POST", url, headers={"Authorization": "Bearer x"}).status_code == 403
    assert door.send(request, path="/clitoken/x").status_code == 403
    assert door.client("GET", url, headers=dict(request.headers.items())).status_code == 403
