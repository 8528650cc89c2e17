"""Parsing base URLs and token URLs."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given

from entrypoint.inputs.parsers import ParseError
from entrypoint.inputs.urls import base_url, canonical_url, token_url
from tests.support.refusal import refusal, texts


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://airflow.example.com", "https://airflow.example.com"),
        ("https://airflow.example.com/", "https://airflow.example.com"),
        ("https://airflow.example.com/home", "https://airflow.example.com"),
        ("https://airflow.example.com/api/v1/", "https://airflow.example.com"),
        ("https://airflow.example.com/api/v2", "https://airflow.example.com"),
        ("https://example.com/team/airflow/home/", "https://example.com/team/airflow"),
        ("https://example.com/homes", "https://example.com/homes"),
        ("https://example.com/my/api/v3", "https://example.com/my/api/v3"),
        ("HTTPS://Example.com:8443/x", "https://Example.com:8443/x"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://airflow-webserver.team_a:8080", "http://airflow-webserver.team_a:8080"),
        ("http://[::1]:8080/home", "http://[::1]:8080"),
        ("http://127.0.0.1:8080//", "http://127.0.0.1:8080"),
        ("https://example.com./a%20b", "https://example.com./a%20b"),
        # A host name beyond ASCII, as it is in DNS.
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example:8443/x/home", "https://xn--bcher-kva.example:8443/x"),
        ("https://straße.example", "https://xn--strae-oqa.example"),
        ("http://例え.テスト", "http://xn--r8jz45g.xn--zckzah"),
        ("https://a\u3002example", "https://a.example"),
    ],
)
def test_base_url_loses_pasted_paths_and_slashes(text: str, url: str) -> None:
    assert base_url(text) == url


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("airflow.example.com", "not an http or https URL"),
        ("airflow.example.com:8080", "not an http or https URL"),
        ("//airflow.example.com", "not an http or https URL"),
        ("ftp://airflow.example.com", "not an http or https URL"),
        ("https://", "not an http or https URL"),
        ("https:///home", "not an http or https URL"),
        ("https://:8080", "not an http or https URL"),
        ("https://[::1", "not a URL"),
        ("https://example.com:port", "not a URL"),
        ("https://example.com:99999", "not a URL"),
        ("https://s3cret@example.com", "user name or password"),
        ("https://admin:s3cret@example.com", "user name or password"),
        ("https://@example.com", "user name or password"),
        ("https://example.com?token=s3cret", "query or a fragment"),
        ("https://example.com/home#s3cret", "query or a fragment"),
        ("https://exa mple.com", "character that URLs do not allow"),
        ("https://example.com/a b", "character that URLs do not allow"),
        ("https://example.com/\u201c", "character that URLs do not allow"),
        ("https://bücher.example/é", "character that URLs do not allow"),
        ("https://bücher.example/a b", "character that URLs do not allow"),
        ("https://bücher.example\n/a", "character that URLs do not allow"),
        ("https://bücher..example", "not a host name"),
        ("https://ex\u201cample.com", "not a host name"),
        ("https://" + "ü" * 64 + ".com", "not a host name"),
        ("https://example.com\\home", "character that URLs do not allow"),
        ("https://example.com/a\nb", "character that URLs do not allow"),
        ("https://a..b", "not a host name"),
        ("https://.example.com", "not a host name"),
        ("https://*.example.com", "not a host name"),
        ("https://" + "a" * 64 + ".com", "not a host name"),
        ('https://exa"mple.com', "not a host name"),
        ("https://[v1.x]", "not a host name"),
        ("https://example.com,https://b.example.com", "not a host name"),
        ("s3cret", "not an http or https URL"),
        ("admin:s3cret@example.com", "not an http or https URL"),
    ],
)
def test_unreachable_or_secret_url_is_refused_unquoted(text: str, problem: str) -> None:
    wrong = refusal(base_url, text)

    assert problem in wrong.problem
    assert "s3cret" not in f"{wrong.problem} {wrong.remedy}"


@given(texts | texts.map(lambda text: f"https://example.com/{text}"))
def test_any_accepted_base_url_has_a_host_and_parses_to_itself(text: str) -> None:
    try:
        url = base_url(text)
    except ParseError:
        return
    parts = urlsplit(url)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    assert not url.endswith(("/", "/home", "/api/v1", "/api/v2"))
    assert not set(url) & set(" ?#@\\") - set(parts.path)
    assert base_url(url) == url
    assert canonical_url(canonical_url(url)) == canonical_url(url)


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://airflow.example.com", "https://airflow.example.com"),
        ("HTTPS://Airflow.Example.com", "https://airflow.example.com"),
        ("https://airflow.example.com/", "https://airflow.example.com"),
        ("https://airflow.example.com:443//", "https://airflow.example.com"),
        ("https://airflow.example.com:", "https://airflow.example.com"),
        ("http://airflow.example.com:80", "http://airflow.example.com"),
        ("https://airflow.example.com:80", "https://airflow.example.com:80"),
        ("http://airflow.example.com:443", "http://airflow.example.com:443"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://airflow.example.com", "http://airflow.example.com"),
        # A path is case-sensitive, and any other difference may matter, too.
        ("https://Example.com/Team/airflow/", "https://example.com/Team/airflow"),
        ("https://example.com//a%2Fb//c", "https://example.com//a%2Fb//c"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
        ("https://airflow.example.com.", "https://airflow.example.com."),
    ],
)
def test_canonical_form_is_equal_for_equal_airflows_only(url: str, form: str) -> None:
    assert canonical_url(url) == form


@pytest.mark.parametrize(
    "url",
    [
        "https://[",
        "https://airflow.example.com:port",
        "https://airflow.example.com:99999",
        "airflow.example.com",
        "//airflow.example.com",
        "https:///dags",
        "ftp://airflow.example.com",
        "",
    ],
)
def test_invalid_url_has_no_canonical_form(url: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid IPv6 URL|[Pp]ort|host"):
        canonical_url(url)


@pytest.mark.parametrize(
    "text",
    [
        "https://login.example.com/oauth2/token",
        "https://login.microsoftonline.com/0a1b/oauth2/v2.0/token",
        "https://login.example.com:8443/realms/ops/protocol/openid-connect/token",
        "https://login.example.com/token/",
        "https://login.example.com/api/v2",
        "HTTPS://login.example.com/home",
        "https://[::1]:8443/token",
        "https://login.example.com",
    ],
)
def test_token_url_is_unchanged(text: str) -> None:
    assert token_url(text) == text


def test_host_of_a_token_url_is_the_one_in_dns() -> None:
    assert token_url("https://bücher.example:8443/t/") == "https://xn--bcher-kva.example:8443/t/"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://login.example.com/token", "not https"),
        ("HTTP://login.example.com/token?s3cret", "not https"),
        ("http:login.example.com", "not https"),
        ("login.example.com/token", "not an https URL"),
        ("//login.example.com/token", "not an https URL"),
        ("ftp://login.example.com/token", "not an https URL"),
        ("https:///token", "not an https URL"),
        ("https://[::1", "not a URL"),
        ("https://login.example.com:99999/token", "not a URL"),
        ("https://s3cret@login.example.com/token", "user name or password"),
        ("https://client:s3cret@login.example.com/token", "user name or password"),
        ("https://login.example.com/token?client_secret=s3cret", "query or a fragment"),
        ("https://login.example.com/token#s3cret", "query or a fragment"),
        ("https://login.example.com/to ken", "character that URLs do not allow"),
        ("https://login.example.com\\token", "character that URLs do not allow"),
        ("https://login.example.com/\u201ctoken", "character that URLs do not allow"),
        ("https://login..example.com/token", "not a host name"),
        ("s3cret", "not an https URL"),
    ],
)
def test_insecure_or_invalid_token_url_is_refused_unquoted(text: str, problem: str) -> None:
    wrong = refusal(token_url, text)

    assert problem in wrong.problem
    assert "s3cret" not in f"{wrong.problem} {wrong.remedy}"


@given(
    texts
    | texts.map(lambda text: f"https://login.example.com/{text}")
    | texts.map(lambda text: f"http:{text}")
)
def test_any_accepted_token_url_is_https_with_a_host_and_no_secret(text: str) -> None:
    try:
        parts = urlsplit(token_url(text))
    except ParseError:
        return
    assert (parts.scheme, bool(parts.hostname)) == ("https", True)
    assert (parts.username, parts.password, parts.query, parts.fragment) == (None, None, "", "")
