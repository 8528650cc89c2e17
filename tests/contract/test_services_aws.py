"""The API of the Amazon MWAA stand-in, compared with botocore."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import botocore.auth
import pytest
from botocore.exceptions import ClientError

from tests.contract.mwaa import MwaaScenario, opened
from tests.contract.services import summary_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[MwaaScenario]:
    """An environment with Airflow 3."""
    with opened(tmp_path) as scenario:
        yield scenario


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "cn-north-1"])
def test_botocore_finds_the_api_by_its_host_name(tmp_path: Path, region: str) -> None:
    with opened(tmp_path, region=region) as scenario:
        answer = scenario.botocore().create_web_login_token(Name=scenario.mwaa.name)
        assert answer["WebServerHostname"] == scenario.mwaa.web_host
        assert scenario.mwaa.api.redeem(answer["WebToken"])
        (recorded,) = scenario.mwaa.api.record
        assert (recorded.method, recorded.path, recorded.body) == (
            "POST",
            f"/webtoken/{scenario.mwaa.name}",
            b"",
        )
        assert scenario.tunnel.targets == [f"{scenario.mwaa.api.host}:443"]


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
def test_botocore_with_other_keys_gets_a_403_with_the_reason(
    scenario: MwaaScenario, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        scenario.botocore(**options).create_web_login_token(Name=scenario.mwaa.name)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_botocore_gets_an_error_of_its_own_for_each_cause(scenario: MwaaScenario) -> None:
    """An unknown environment, a missing permission and expired keys."""
    client = scenario.botocore()
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="other"):
        client.create_web_login_token(Name="other")
    scenario.mwaa.api.deny()
    with pytest.raises(client.exceptions.AccessDeniedException, match="CreateWebLoginToken"):
        client.create_web_login_token(Name=scenario.mwaa.name)
    scenario.mwaa.api.expire_keys()
    with pytest.raises(ClientError) as caught:
        client.create_web_login_token(Name=scenario.mwaa.name)
    assert caught.value.response["Error"]["Code"] == "ExpiredTokenException"
    assert (
        caught.value.response["Error"]["Message"]
        == "The security token included in the request is expired"
    )


def test_a_signature_of_botocore_is_accepted(scenario: MwaaScenario) -> None:
    answer = scenario.send(scenario.signed())
    assert (answer.status_code, answer.json()["WebServerHostname"]) == (200, scenario.mwaa.web_host)


@pytest.mark.parametrize("name", ["Authorization", "X-Amz-Date", "X-Amz-Security-Token"])
@pytest.mark.parametrize("place", [-1, -9])
def test_one_changed_byte_in_a_signed_header_is_refused(
    scenario: MwaaScenario, name: str, place: int
) -> None:
    request = scenario.signed()
    value = request.headers[name]
    request.headers[name] = (
        value[:place] + ("1" if value[place] == "0" else "0") + value[place:][1:]
    )
    answer = scenario.send(request)
    assert (answer.status_code, list(answer.json())) == (403, ["message"])


def test_a_changed_path_body_query_or_amz_header_is_refused(scenario: MwaaScenario) -> None:
    assert scenario.send(scenario.signed(), path="/webtoken/sales-proe").status_code == 403
    assert (
        scenario.send(scenario.signed(), path=f"/webtoken/{scenario.mwaa.name}?x").status_code
        == 403
    )
    assert scenario.send(scenario.signed(), body=b"x").status_code == 403
    assert scenario.send(scenario.signed(body=b"x"), body=b"x").status_code == 200
    request = scenario.signed()
    request.headers["X-Amz-Target"] = "unsigned"
    assert scenario.send(request).status_code == 403


def test_a_signature_for_another_region_or_time_is_refused(
    scenario: MwaaScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scenario.send(scenario.signed(region="us-east-1")).status_code == 403
    for minutes, status in ((-6, 403), (-4, 200), (4, 200), (6, 403)):
        moment = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda moment=moment: moment)
        assert scenario.send(scenario.signed()).status_code == status


def test_a_missing_signature_and_an_unknown_operation_are_refused(scenario: MwaaScenario) -> None:
    request = scenario.signed()
    url = f"https://{scenario.mwaa.api.host}/webtoken/{scenario.mwaa.name}"
    assert summary_of(scenario.client("POST", url)) == (
        403,
        {"message": "Missing Authentication Token"},
    )
    assert scenario.client("POST", url, headers={"Authorization": "Bearer x"}).status_code == 403
    assert scenario.send(request, path="/clitoken/x").status_code == 403
    assert scenario.client("GET", url, headers=dict(request.headers.items())).status_code == 403
