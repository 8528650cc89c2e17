"""The API of the Amazon MWAA stand-in, compared with botocore."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import botocore.auth
import pytest
from botocore.exceptions import ClientError

from tests.contract.mwaa import MwaaScenario, opened
from tests.contract.services import summary_of
from tests.support.fake_airflow import Fault
from tests.support.services import FakeGitHubOidc, FakeSts

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


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "cn-north-1"])
def test_botocore_assumes_the_role_and_its_keys_sign(tmp_path: Path, region: str) -> None:
    """Until they expire; STS refuses another role, audience, and a name that its model forbids."""
    with (
        FakeGitHubOidc() as oidc,
        FakeSts(oidc, region) as sts,
        opened(tmp_path, region=region, role=sts) as scenario,
    ):
        client = scenario.botocore("sts")
        given = {"RoleArn": sts.role, "RoleSessionName": "gate"}
        token = oidc.issue("sts.amazonaws.com")
        found = client.assume_role_with_web_identity(WebIdentityToken=token, **given)
        keys = found["Credentials"]
        assert abs((keys["Expiration"] - datetime.now(UTC)).total_seconds() - 3600) < 60
        options = {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }
        mwaa = scenario.botocore(**options)
        assert mwaa.get_environment(Name=scenario.mwaa.name)["Environment"]["WebserverUrl"]
        sts.expire()
        assert code_of(mwaa.get_environment, Name=scenario.mwaa.name) == "ExpiredTokenException"
        for wrong, code in (
            ({"RoleArn": f"{sts.role}2"}, "AccessDenied"),
            ({"WebIdentityToken": oidc.issue("other")}, "InvalidIdentityToken"),
            ({"RoleSessionName": "a b"}, "ValidationError"),
        ):
            call = {"WebIdentityToken": token, **given, **wrong}
            assert code_of(client.assume_role_with_web_identity, **call) == code


def code_of(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_botocore_invokes_the_api_of_airflow(scenario: MwaaScenario) -> None:
    """Errors of Airflow have both fields; the model forbids long paths and other methods."""
    client = scenario.botocore()

    def invoke(method: str, path: str, **more: Any) -> Any:
        return client.invoke_rest_api(Name=scenario.mwaa.name, Method=method, Path=path, **more)

    body = {"logical_date": None, "dag_run_id": "r"}
    found = invoke("POST", "/dags/d/dagRuns", Body=body)
    assert (found["RestApiStatusCode"], found["RestApiResponse"]["dag_run_id"]) == (200, "r")
    listed = invoke("GET", "/dags/d/dagRuns", QueryParameters={"state": ["queued"], "limit": 1})
    assert listed["RestApiResponse"]["total_entries"] == 1
    for call, kind, status in (
        (("GET", "/dags/other"), "RestApiClientException", 404),
        (("POST", "/dags/d/dagRuns"), "RestApiClientException", 422),
    ):
        with pytest.raises(getattr(client.exceptions, kind)) as caught:
            invoke(*call)
        assert caught.value.response["RestApiStatusCode"] == status
        assert "detail" in caught.value.response["RestApiResponse"]
    scenario.fake.fault(Fault.JSON_500)
    with pytest.raises(client.exceptions.RestApiServerException) as caught:
        invoke("GET", "/dags/d")
    assert caught.value.response["RestApiStatusCode"] == 500
    with pytest.raises(client.exceptions.ValidationException, match="less than or equal to 64"):
        invoke("GET", f"/dags/{'d' * 59}")
    with pytest.raises(client.exceptions.ValidationException, match="Method"):
        invoke("HEAD", "/dags/d")
    scenario.mwaa.api.deny("InvokeRestApi")
    with pytest.raises(client.exceptions.AccessDeniedException, match="InvokeRestApi"):
        invoke("GET", "/dags/d")
