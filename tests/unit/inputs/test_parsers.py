"""Parsing the values of inputs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrypoint.inputs import parsers as inputs
from entrypoint.inputs.parsers import ParseError
from tests.support.refusal import refusal, texts

Parser = Callable[[str], Any]
offsets = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda delta: timezone(timedelta(minutes=delta // timedelta(minutes=1)))
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("False", False),
        ("FALSE", False),
    ],
)
def test_yaml_booleans_are_read(text: str, expected: bool) -> None:
    assert inputs.boolean(text) is expected


@pytest.mark.parametrize(
    "text", ["yes", "no", "1", "0", "on", "off", "tRUE", "", "true ", "true\n", "'true'"]
)
def test_other_texts_are_no_booleans(text: str) -> None:
    assert "not a boolean" in refusal(inputs.boolean, text).problem


def test_choice_is_case_sensitive_and_the_error_lists_the_values() -> None:
    parser = inputs.choice("fail", "unpause", "queue")

    assert [parser(word) for word in ("fail", "unpause", "queue")] == ["fail", "unpause", "queue"]
    assert refusal(parser, "Fail").remedy == "Write fail, unpause or queue."


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("45m", 2700),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h5s", 3605),
        ("840h", inputs.MAX_WAIT_SECONDS),
        ("0h1s", 1),
        ("007", 7),
        (str(inputs.MAX_WAIT_SECONDS), inputs.MAX_WAIT_SECONDS),
    ],
)
def test_duration_is_seconds_or_hours_minutes_seconds(text: str, seconds: float) -> None:
    assert inputs.duration(text) == seconds


@given(*[st.none() | st.integers(0, 10_000)] * 3)
def test_parts_of_a_duration_are_optional_and_added(
    hours: int | None, minutes: int | None, seconds: int | None
) -> None:
    parts = {"h": hours, "m": minutes, "s": seconds}
    text = "".join(f"{number}{unit}" for unit, number in parts.items() if number is not None)
    total = (hours or 0) * 3600 + (minutes or 0) * 60 + (seconds or 0)
    assume(text)

    if 0 < total <= inputs.MAX_WAIT_SECONDS:
        assert inputs.duration(text) == total
    else:
        assert "out of range" in refusal(inputs.duration, text).problem


@pytest.mark.parametrize(
    "text",
    [
        "1d",
        "1 h",
        "30m1h",
        "1h 30m",
        "-5",
        "+5",
        "1e3",
        "1.5h",
        ".5",
        "5.",
        "1H",
        "h",
        "PT1H",
        "1:30",
        "inf",
        "nan",
        "٣",
        "1h30",
        "\uff11",
        "9999999999",
        "90 s",
        "1_000",
        "0x10",
    ],
)
def test_other_duration_formats_are_refused(text: str) -> None:
    assert "not a duration" in refusal(inputs.duration, text).problem


@pytest.mark.parametrize("text", ["0", "0s", "0.0", "0h0m0s", "841h", "3024001", "999999999h"])
def test_zero_and_more_than_35_days_are_refused(text: str) -> None:
    assert "out of range" in refusal(inputs.duration, text).problem


@given(texts)
def test_any_accepted_duration_is_positive_and_bounded(text: str) -> None:
    try:
        seconds = inputs.duration(text)
    except ParseError:
        return
    assert 0 < seconds <= inputs.MAX_WAIT_SECONDS


@pytest.mark.parametrize("text", ["0", "0s", "000", "00s"])
def test_optional_duration_may_be_zero(text: str) -> None:
    assert inputs.duration_or_zero(text) == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("0.5", 0.5), ("90s", 90), ("10m", 600), ("1h30m", 5400)]
)
def test_optional_duration_is_read_like_a_duration(text: str, seconds: float) -> None:
    assert inputs.duration_or_zero(text) == seconds


@pytest.mark.parametrize(
    "text", ["none", "false", "-0", "0 s", "0d", "", "\u0660", "0\n", "841h", "0m", "0.0"]
)
def test_invalid_optional_duration_is_refused(text: str) -> None:
    refusal(inputs.duration_or_zero, text)


@pytest.mark.parametrize(
    "text", ["0123456789abcdef" * 2 + "01234567", "a" * 40, "7" * 40, "f" * 64]
)
def test_whole_sha_is_a_commit_in_any_case(text: str) -> None:
    assert inputs.commit(text) == inputs.commit(text.upper()) == text


@pytest.mark.parametrize(
    "text",
    [
        "a" * 7,
        "a" * 39,
        "a" * 41,
        "a" * 63,
        "a" * 65,
        "g" * 40,
        "main",
        "v1.0",
        "HEAD",
        f"{'a' * 40}\n",
        f" {'a' * 40}",
        f"{'a' * 39}^",
        "\u0661" * 40,
        "\uff41" * 40,
        "refs/heads/main",
        "",
    ],
)
def test_short_sha_or_branch_is_refused(text: str) -> None:
    """Either may mean another commit tomorrow."""
    wrong = refusal(inputs.commit, text)

    assert "not a full commit SHA" in wrong.problem
    assert "${{ github.sha }}" in wrong.remedy


@given(texts)
def test_any_accepted_commit_has_40_or_64_lowercase_hex_digits(text: str) -> None:
    try:
        sha = inputs.commit(text)
    except ParseError:
        return
    assert len(sha) in (40, 64)
    assert set(sha) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "text", ["production", "Größe 任务 🚀", "eu/west (blue)", "x" * 255, "🚀" * 255, '"' * 127]
)
def test_environment_name_is_unchanged(text: str) -> None:
    assert inputs.environment(text) == text


@pytest.mark.parametrize(
    "text", ["x" * 256, "a\nb", "a\tb", "a\x00", "a\u2028b", "a\ud800", "\\" * 128]
)
def test_too_long_or_multiline_environment_is_refused(text: str) -> None:
    assert "255 characters" in refusal(inputs.environment, text).remedy


def test_poll_interval_is_at_least_one_second() -> None:
    assert [inputs.interval(text) for text in ("1", "2.5", "1m")] == [1, 2.5, 60]
    assert "less than 1 second" in refusal(inputs.interval, "0.9").problem


def test_whole_number_is_read_within_its_bounds() -> None:
    parser = inputs.whole_number(1, 2000)

    assert [parser(text) for text in ("1", "100", "2000", "007")] == [1, 100, 2000, 7]


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "2001",
        "-1",
        "+1",
        "1.0",
        "1e2",
        "",
        " 1",
        "1\n",
        "1_0",
        "0x10",
        "\u0661",
        "\u00b2",
        "many",
        "9" * 5000,
    ],
)
def test_other_number_is_refused_with_the_bounds(text: str) -> None:
    assert (
        "not a whole number from 1 to 2000" in refusal(inputs.whole_number(1, 2000), text).problem
    )


@given(texts, st.integers(-10, 10), st.integers(-10, 10**12))
def test_any_accepted_whole_number_is_within_its_bounds(text: str, least: int, most: int) -> None:
    try:
        assert least <= inputs.whole_number(least, most)(text) <= most
    except ParseError:
        return


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=offsets))  # noqa: DTZ001
def test_date_with_an_offset_is_read(moment: datetime) -> None:
    """`T` or a blank, in either case."""
    for text in (moment.isoformat(), moment.isoformat(" "), moment.isoformat().lower()):
        assert inputs.rfc3339_datetime(text) == moment


@pytest.mark.parametrize(
    "text", ["2026-01-31T00:00:00Z", "2026-01-31t00:00:00z", "2026-01-31T01:00:00.000000000+01:00"]
)
def test_every_rfc_3339_form_is_read(text: str) -> None:
    assert inputs.rfc3339_datetime(text) == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T00:00:00",
        "2026-01-31 00:00",
        "31.01.2026",
        "now",
        "1769817600",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T00:00:00+25:00",
        "2026-01-31T00:00:00 UTC",
        "Z",
        "20260131T000000Z",
        "2026-W05-6T00:00:00Z",
        "2026-01-31T00:00:00+0100",
        "0000-01-01T00:00:00Z",
    ],
)
def test_date_without_time_or_offset_is_refused(text: str) -> None:
    assert "RFC 3339" in refusal(inputs.rfc3339_datetime, text).problem


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_date_outside_the_utc_range_is_refused(text: str) -> None:
    refusal(inputs.rfc3339_datetime, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ('{"region": "APAC"}', {"region": "APAC"}),
        (' {"a": [1, 2.5, null, true]} ', {"a": [1, 2.5, None, True]}),
        ('{"a": {"a": 1}}', {"a": {"a": 1}}),
        ('{"é": "\\u00e9"}', {"é": "é"}),
        ('{"a": 1e300}', {"a": 1e300}),
    ],
)
def test_json_object_is_read(text: str, value: dict[str, Any]) -> None:
    assert inputs.json_object(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("{'a': 1}", "line 1, column 2"),
        ('{"a": 1,}', "not JSON"),
        ("region=APAC", "not JSON"),
        ("[1]", "not an object"),
        ('"text"', "not an object"),
        ("null", "not an object"),
        ("1", "not an object"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": {"b": 1, "b": 2}}', '"b" is given twice'),
        ('{"a": 1e999}', "too large"),
        ('{"a": -1e999}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "too long"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_invalid_or_lossy_json_is_refused_with_place_or_reason(text: str, problem: str) -> None:
    assert problem in refusal(inputs.json_object, text).problem


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("null", "null,", "toJSON(github.event.inputs || fromJSON('{}'))"),
        ('"{\\"a\\": 1}"', "a string that contains an object", "Remove a toJSON()"),
        ('"{"', "a string,", "double quotes"),
        ('"[1]"', "a string,", "double quotes"),
        ("[{}]", "an array", '{"items": […]}'),
        ("true", "a boolean", "double quotes"),
        ("1.5", "a number", "double quotes"),
    ],
)
def test_other_json_is_named_with_what_makes_it_an_object(
    text: str, problem: str, remedy: str
) -> None:
    wrong = refusal(inputs.conf_object, text)

    assert problem in wrong.problem
    assert remedy in wrong.remedy


@pytest.mark.parametrize("character", ["x", "é", '"', "\ud800"])
@pytest.mark.parametrize("more", [0, 1])
def test_conf_has_at_most_a_million_bytes(tmp_path: Path, character: str, more: int) -> None:
    """Blanks between the values do not count, because they are not sent."""
    unit = len(json.dumps(character, ensure_ascii=False).encode(errors="surrogatepass")) - 2
    count, rest = divmod(1_000_000 - len('{"a": ""}') + more, unit)
    conf = {"a": character * count + "x" * rest}
    text = json.dumps(conf, indent=9)
    (tmp_path / "conf.json").write_text(text)

    for parse in (inputs.conf_object, lambda _: inputs.json_file("conf.json", tmp_path)):
        if not more:
            assert parse(text) == conf
            continue
        wrong = refusal(parse, text)
        assert wrong.problem.startswith("it has 1,000,001 bytes")
        assert "reference" in wrong.remedy


def test_huge_conf_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "conf.json").open("wb") as file:
        file.truncate(2**40)

    wrong = refusal(lambda text: inputs.json_file(text, tmp_path), "conf.json")
    assert "1,099,511,627,776 bytes" in wrong.problem


@given(texts)
def test_any_json_is_an_object_or_refused(text: str) -> None:
    try:
        assert isinstance(inputs.json_object(text), dict)
    except ParseError:
        return


def test_json_file_of_the_workspace_is_read(tmp_path: Path) -> None:
    """A byte order mark is allowed."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "conf.json").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}')

    for path in (
        "deep/conf.json",
        "./deep/../deep/conf.json",
        str(tmp_path / "deep" / "conf.json"),
    ):
        assert inputs.json_file(path, tmp_path) == {"a": "é"}


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("missing.json", "there is no file"),
        (".", "there is no file"),
        ("conf.json/x", "there is no file"),
        ("../outside.json", "out of the workspace"),
        ("/etc/passwd", "out of the workspace"),
        ("link.json", "out of the workspace"),
        ("latin1.json", "not UTF-8"),
        ("list.json", "not an object"),
        ("loop", "loop"),
        ('{"region": "' + "x" * 300 + '"}', "cannot be read"),
    ],
)
def test_missing_outside_or_invalid_json_file_is_refused(
    tmp_path: Path, path: str, problem: str
) -> None:
    """A symbolic link out of the checkout counts as outside."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "outside.json").write_text("{}")
    (workspace / "link.json").symlink_to(tmp_path / "outside.json")
    (workspace / "loop").symlink_to(workspace / "loop")
    (workspace / "conf.json").write_text("{}")
    (workspace / "list.json").write_text("[]")
    (workspace / "latin1.json").write_bytes(b'{"a": "\xe9"}')

    assert problem in refusal(lambda text: inputs.json_file(text, workspace), path).problem


@pytest.mark.parametrize("text", ["abc", "ya29.a0-_x", "eyJ.eyJ.sig", "x" * 5000, "a=b+c/d"])
def test_printable_ascii_token_is_accepted(text: str) -> None:
    assert inputs.header_token(text) == text


@pytest.mark.parametrize(
    "text",
    ["Bearer s3cret", "bearer s3cret", "s3 cret", "s3cret\ns3cret", "s3cret\u201d", "s3cret\x00"],
)
def test_token_that_would_break_a_header_is_refused_unquoted(text: str) -> None:
    wrong = refusal(inputs.header_token, text)

    assert "s3" not in f"{wrong.problem} {wrong.remedy}"


@given(texts)
def test_quoted_text_is_one_short_line(text: str) -> None:
    """A cut quote would show half a secret, which the runner does not mask."""
    shown = inputs.quoted(text)

    assert len(shown.splitlines()) == 1
    if len(text) > 200:
        assert shown == f"a text of {len(text)} characters"
    else:
        assert shown.startswith('"')
        assert shown.endswith('"')


def test_long_value_is_described_by_its_length() -> None:
    assert "a text of 201 characters is not a boolean" in refusal(inputs.boolean, "x" * 201).problem
