"""AWS Signature Version 4, compared with botocore."""

from datetime import UTC, datetime

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.auth.sigv4 import signed
from entrypoint.credentials import AwsKeys, Secret

NOW = datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)
KEYS = AwsKeys("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), None)
URL = "https://env.airflow.eu-central-1.amazonaws.com/webtoken/my-airflow"
secrets = st.from_regex(r"\A[A-Za-z0-9/+=]{1,64}\Z").map(Secret)
keys = st.builds(
    AwsKeys, st.from_regex(r"\A(?:AKIA|ASIA)[A-Z2-7]{16}\Z"), secrets, st.none() | secrets
)
regions = st.sampled_from(
    ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "ap-southeast-2", "il-central-1"]
)
names = st.from_regex(r"\A[A-Za-z][0-9A-Za-z_-]{0,79}\Z")
FIRST, LAST = datetime(2000, 1, 1), datetime(2099, 12, 31)  # noqa: DTZ001 - as hypothesis asks
moments = st.datetimes(FIRST, LAST, timezones=st.just(UTC))


def sign_with_botocore(
    url: str, region: str, service: str, keys: AwsKeys, now: datetime
) -> dict[str, str]:
    token = keys.session_token.reveal() if keys.session_token else None
    request = AWSRequest("POST", url)
    signer = auth.SigV4Auth(
        Credentials(keys.access_key_id, keys.secret_access_key.reveal(), token), service, region
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: now.replace(tzinfo=None))
        signer.add_auth(request)
    return {str(name).lower(): str(value) for name, value in request.headers.items()}


@given(keys, regions, st.binary(max_size=200), st.sampled_from(["GET", "POST"]), moments)
def test_signed_body_and_content_type_equal_those_of_botocore(
    keys: AwsKeys, region: str, body: bytes, method: str, now: datetime
) -> None:
    url = f"https://env.airflow.{region}.amazonaws.com/restapi/my-airflow"
    kind = "application/json"
    request = AWSRequest(method, url, {"Content-Type": kind}, body)
    token = keys.session_token.reveal() if keys.session_token else None
    signer = auth.SigV4Auth(
        Credentials(keys.access_key_id, keys.secret_access_key.reveal(), token), "airflow", region
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: now.replace(tzinfo=None))
        signer.add_auth(request)
    sent = signed(url, region, "airflow", keys, now, method=method, body=body, content_type=kind)

    assert sent["Authorization"] == request.headers["Authorization"]
    assert "content-type" not in lowercase_names(sent)


def lowercase_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@given(keys, regions, names, moments)
def test_headers_equal_those_of_botocore(
    keys: AwsKeys, region: str, environment: str, now: datetime
) -> None:
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = f"https://env.airflow.{region}.{domain}/webtoken/{environment}"

    assert lowercase_names(signed(url, region, "airflow", keys, now)) == sign_with_botocore(
        url, region, "airflow", keys, now
    )


def test_signed_headers_leave_host_to_the_http_library() -> None:
    headers = signed(URL, "eu-central-1", "airflow", KEYS, NOW)
    of_a_role = signed(
        URL, "eu-central-1", "airflow", AwsKeys("ASIA", Secret("k"), Secret("sess1on")), NOW
    )

    assert headers.keys() == {"x-amz-date", "Authorization"}
    assert headers["x-amz-date"] == "20260131T093015Z"
    assert of_a_role.keys() == {"x-amz-date", "x-amz-security-token", "Authorization"}
    assert of_a_role["x-amz-security-token"] == "sess1on"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token, " in of_a_role["Authorization"]


def test_headers_do_not_contain_the_secret_key() -> None:
    assert KEYS.secret_access_key.reveal() not in str(
        signed(URL, "eu-central-1", "airflow", KEYS, NOW)
    )


@pytest.mark.parametrize(
    "other",
    [
        signed(f"{URL}2", "eu-central-1", "airflow", KEYS, NOW),
        signed(URL.replace("https://env", "https://evil"), "eu-central-1", "airflow", KEYS, NOW),
        signed(URL, "eu-west-1", "airflow", KEYS, NOW),
        signed(URL, "eu-central-1", "sts", KEYS, NOW),
        signed(URL, "eu-central-1", "airflow", AwsKeys("AKIA", Secret("another"), None), NOW),
        signed(URL, "eu-central-1", "airflow", KEYS, NOW.replace(second=16)),
    ],
    ids=["environment", "host", "region", "service", "key", "time"],
)
def test_each_part_of_the_request_changes_the_signature(other: dict[str, str]) -> None:
    signature = signed(URL, "eu-central-1", "airflow", KEYS, NOW)["Authorization"].rpartition("=")[
        2
    ]

    assert other["Authorization"].rpartition("=")[2] != signature
