"""One table per kind of input: what is understood, and what is refused with a problem and a
remedy.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrypoint.inputs import parsers as inputs
from entrypoint.inputs.parsers import ParseError

Parser = Callable[[str], Any]
texts = st.text(st.characters(exclude_categories=["Cs"]))
offsets = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda delta: timezone(timedelta(minutes=delta // timedelta(minutes=1)))
)


def refusal(parser: Parser, text: str) -> ParseError:
    """The refusal of a text, which has to be a sentence about the problem and a sentence about the
    remedy.
    """
    with pytest.raises(ParseError) as caught:
        parser(text)
    for said in (caught.value.problem, caught.value.remedy):
        assert said.endswith("."), said
        assert "\n" not in said
    return caught.value


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
def test_boolean(text: str, expected: bool) -> None:
    """The six YAML 1.2 booleans are understood."""
    assert inputs.boolean(text) is expected


@pytest.mark.parametrize(
    "text", ["yes", "no", "1", "0", "on", "off", "tRUE", "", "true ", "true\n", "'true'"]
)
def test_not_a_boolean(text: str) -> None:
    """Nothing else is guessed to be a boolean."""
    assert "not a boolean" in refusal(inputs.boolean, text).problem


def test_choice() -> None:
    """A choice takes its words in their case only, and the refusal lists them."""
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
def test_duration(text: str, seconds: float) -> None:
    """Seconds and hours, minutes, seconds in this order are a duration."""
    assert inputs.duration(text) == seconds


@given(*[st.none() | st.integers(0, 10_000)] * 3)
def test_duration_of_parts(hours: int | None, minutes: int | None, seconds: int | None) -> None:
    """Each part may be left out, and the duration is the sum of those that are there."""
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
def test_not_a_duration(text: str) -> None:
    """Other ways to write a time are refused, not guessed at."""
    assert "not a duration" in refusal(inputs.duration, text).problem


@pytest.mark.parametrize("text", ["0", "0s", "0.0", "0h0m0s", "841h", "3024001", "999999999h"])
def test_duration_out_of_range(text: str) -> None:
    """No time at all and more than 35 days are slips of the pen."""
    assert "out of range" in refusal(inputs.duration, text).problem


@given(texts)
def test_any_duration_is_understood_or_refused(text: str) -> None:
    """Whatever the text, a duration is more than nothing and bounded, or refused."""
    try:
        seconds = inputs.duration(text)
    except ParseError:
        return
    assert 0 < seconds <= inputs.MAX_WAIT_SECONDS


@pytest.mark.parametrize("text", ["0", "0s", "000", "00s"])
def test_no_duration(text: str) -> None:
    """Where there may be no time at all, 0 and 0s say so."""
    assert inputs.duration_or_zero(text) == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("0.5", 0.5), ("90s", 90), ("10m", 600), ("1h30m", 5400)]
)
def test_duration_or_none(text: str, seconds: float) -> None:
    """A duration that may be 0 is written like any other."""
    assert inputs.duration_or_zero(text) == seconds


@pytest.mark.parametrize(
    "text", ["none", "false", "-0", "0 s", "0d", "", "\u0660", "0\n", "841h", "0m", "0.0"]
)
def test_not_a_duration_or_none(text: str) -> None:
    """Other words for no time, and what is no duration or too long a one, are refused."""
    refusal(inputs.duration_or_zero, text)


@pytest.mark.parametrize(
    "text", ["0123456789abcdef" * 2 + "01234567", "a" * 40, "7" * 40, "f" * 64]
)
def test_commit(text: str) -> None:
    """A whole SHA is a commit, of either length, and in either case the same one."""
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
def test_not_a_commit(text: str) -> None:
    """A short SHA and a name may mean another commit tomorrow, and are refused with what to
    write.
    """
    wrong = refusal(inputs.commit, text)

    assert "not a whole commit SHA" in wrong.problem
    assert "${{ github.sha }}" in wrong.remedy


@given(texts)
def test_any_commit_is_understood_or_refused(text: str) -> None:
    """Whatever the text, a commit is 40 or 64 small hexadecimal digits, or refused."""
    try:
        sha = inputs.commit(text)
    except ParseError:
        return
    assert len(sha) in (40, 64)
    assert set(sha) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "text", ["production", "Größe 任务 🚀", "eu/west (blue)", "x" * 255, "🚀" * 255, '"' * 127]
)
def test_environment(text: str) -> None:
    """The name of an environment is taken as it is."""
    assert inputs.environment(text) == text


@pytest.mark.parametrize(
    "text", ["x" * 256, "a\nb", "a\tb", "a\x00", "a\u2028b", "a\ud800", "\\" * 128]
)
def test_not_an_environment(text: str) -> None:
    """What is longer than GitHub takes, or no line, is refused with what to write."""
    assert "255 characters" in refusal(inputs.environment, text).remedy


def test_interval() -> None:
    """A pause between looks is a duration of at least one second."""
    assert [inputs.interval(text) for text in ("1", "2.5", "1m")] == [1, 2.5, 60]
    assert "less than 1 second" in refusal(inputs.interval, "0.9").problem


def test_whole_number() -> None:
    """A whole number is its digits, from the least to the most that is allowed."""
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
def test_not_a_whole_number(text: str) -> None:
    """A number out of bounds, and every other way to write one, is refused with the bounds."""
    assert (
        "not a whole number from 1 to 2000" in refusal(inputs.whole_number(1, 2000), text).problem
    )


@given(texts, st.integers(-10, 10), st.integers(-10, 10**12))
def test_any_whole_number_is_understood_or_refused(text: str, least: int, most: int) -> None:
    """Whatever the text, a whole number lies within its bounds, or is refused."""
    try:
        assert least <= inputs.whole_number(least, most)(text) <= most
    except ParseError:
        return


# Given a zone here
@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=offsets))  # noqa: DTZ001
def test_moment(moment: datetime) -> None:
    """Every date with an offset is read as the moment that it is, with T or blank, in either
    case.
    """
    for text in (moment.isoformat(), moment.isoformat(" "), moment.isoformat().lower()):
        assert inputs.moment(text) == moment


@pytest.mark.parametrize(
    "text", ["2026-01-31T00:00:00Z", "2026-01-31t00:00:00z", "2026-01-31T01:00:00.000000000+01:00"]
)
def test_moment_forms(text: str) -> None:
    """Z, small letters and nanoseconds are RFC 3339, too."""
    assert inputs.moment(text) == datetime(2026, 1, 31, tzinfo=UTC)


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
def test_not_a_moment(text: str) -> None:
    """A date without a time or an offset, or one that no calendar has, is refused."""
    assert "RFC 3339" in refusal(inputs.moment, text).problem


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_moment_outside_utc(text: str) -> None:
    """A date that has no counterpart in UTC is refused here, where its input's name is known."""
    refusal(inputs.moment, text)


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
def test_json_object(text: str, value: dict[str, Any]) -> None:
    """A JSON object is read as what it says."""
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
        ('{"a": {"b": 1, "b": 2}}', '"b" is there twice'),
        ('{"a": 1e999}', "too large"),
        ('{"a": -1e999}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "too long"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_not_a_json_object(text: str, problem: str) -> None:
    """What is not JSON, not an object, or would change on its way to Airflow is refused with the
    place or the reason.
    """
    assert problem in refusal(inputs.json_object, text).problem


@given(texts)
def test_any_json_is_understood_or_refused(text: str) -> None:
    """Whatever the text, the parser ends with an object or a refusal."""
    try:
        assert isinstance(inputs.json_object(text), dict)
    except ParseError:
        return


def test_json_file(tmp_path: Path) -> None:
    """A file of the workspace is read by a relative or absolute path, with or without a byte order
    mark.
    """
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
def test_unusable_json_file(tmp_path: Path, path: str, problem: str) -> None:
    """A file that is missing, elsewhere, unreadable or not an object is refused; a link out of the
    checkout is elsewhere.
    """
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
def test_header_token(text: str) -> None:
    """A token is any printable ASCII without blanks."""
    assert inputs.header_token(text) == text


@pytest.mark.parametrize(
    "text",
    ["Bearer s3cret", "bearer s3cret", "s3 cret", "s3cret\ns3cret", "s3cret\u201d", "s3cret\x00"],
)
def test_not_a_header_token(text: str) -> None:
    """A token that would break the header is refused, and never quoted."""
    wrong = refusal(inputs.header_token, text)

    assert "s3" not in f"{wrong.problem} {wrong.remedy}"


@given(texts)
def test_quoted(text: str) -> None:
    """A quoted text is one short line, and is quoted whole or not at all: half a secret would
    escape the runner's masks.
    """
    shown = inputs.quoted(text)

    assert len(shown.splitlines()) == 1
    if len(text) > 200:
        assert shown == f"a text of {len(text)} characters"
    else:
        assert shown.startswith('"')
        assert shown.endswith('"')


def test_a_long_value_is_not_quoted() -> None:
    """A value too long to quote is described by its length."""
    assert "a text of 201 characters is not a boolean" in refusal(inputs.boolean, "x" * 201).problem
