"""Checking tags, extracting notes and editing action.yml for a release."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dev.release import ReleaseError, check, check_rebuild, main, notes, with_image

ROOT = Path(__file__).parents[3]
ACTION = (ROOT / "action.yml").read_text(encoding="utf-8")
DIGEST = "0123456789abcdef" * 4
IMAGE = f"ghcr.io/owner/airflow-dag-run@sha256:{DIGEST}"
CHANGELOG = """# Changelog

## [Unreleased]

## [1.10.0] - 2026-11-20

### Added

- More.

## 1.2.3 - 2026-02-28

- Less.

## [1.2.2]

## [1.2.1] - 2026-02-30

## [2.0.0] - 2026-12-01

## [2.0.0] - 2026-12-02
"""


def test_only_the_image_line_of_action_yml_changes() -> None:
    before, after = (
        ACTION.splitlines(keepends=True),
        with_image(ACTION, IMAGE).splitlines(keepends=True),
    )

    assert len(before) == len(after)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [("  image: Dockerfile\n", f"  image: docker://{IMAGE}\n")]


@pytest.mark.parametrize(
    "image",
    [
        "",
        "ghcr.io/owner/airflow-dag-run",
        "ghcr.io/owner/airflow-dag-run:v1.2.3",
        "ghcr.io/owner/airflow-dag-run@sha256:",
        f"ghcr.io/owner/airflow-dag-run@sha256:{DIGEST[:-1]}",
        f"ghcr.io/owner/airflow-dag-run@sha256:{DIGEST}0",
        f"ghcr.io/owner/airflow-dag-run@sha256:{DIGEST[:-1]}g",
        f"ghcr.io/owner/airflow-dag-run@sha256:{DIGEST.upper()}",
        f"ghcr.io/owner/airflow-dag-run@sha512:{DIGEST}",
        f"ghcr.io/Owner/airflow-dag-run@sha256:{DIGEST}",
        f"ghcr.io/airflow-dag-run@sha256:{DIGEST}",
        f"example.com/owner/airflow-dag-run@sha256:{DIGEST}",
        f"docker://{IMAGE}",
        f"{IMAGE}\n",
        f"{IMAGE}\n  args: [x]",
        DIGEST,
    ],
)
def test_image_needs_ghcr_and_a_whole_digest(image: str) -> None:
    with pytest.raises(ReleaseError, match="is not an image of GHCR with a digest"):
        with_image(ACTION, image)


@pytest.mark.parametrize(
    "action", ["", ACTION.replace("Dockerfile", "docker://alpine"), ACTION + ACTION]
)
def test_action_yml_needs_exactly_one_line_to_change(action: str) -> None:
    with pytest.raises(ReleaseError, match="no single line"):
        with_image(action, IMAGE)


def test_rebuild_points_a_released_action_yml_at_the_new_image() -> None:
    old = IMAGE.replace("0123", "9876")

    assert with_image(with_image(ACTION, old), IMAGE) == with_image(ACTION, IMAGE)


@pytest.mark.parametrize(
    ("tag", "released", "tags", "why"),
    [
        ("v1.2.4", "v1.2.3", ["v1.2.3\n", "v1.2.2\n", "nightly\n"], None),
        ("v1.2.10", "v1.2.9", ["v1.2.9", "v0.9.9"], None),
        ("v1.2.5", "v1.2.3", ["v1.2.3"], "v1.2.3 may be rebuilt, as v1.2.4"),
        ("v1.3.0", "v1.2.3", ["v1.2.3"], "v1.2.3 may be rebuilt, as v1.2.4"),
        ("v1.2.4", "v1.2.3", ["v1.2.3", "v1.3.0"], "v1.3.0 may be rebuilt, as v1.3.1"),
        ("v0.0.1", "v0.0.0", ["nightly"], "there is no release"),
    ],
)
def test_only_the_newest_release_is_rebuilt_and_as_its_next_patch(
    tag: str, released: str, tags: list[str], why: str | None
) -> None:
    if why is None:
        check_rebuild(tag, released, tags)
    else:
        with pytest.raises(ReleaseError, match=why):
            check_rebuild(tag, released, tags)


@pytest.mark.parametrize(
    ("tag", "tags"),
    [
        ("v1.2.3", []),
        ("v1.2.3", ["v1.2.2", "v0.9.9"]),
        ("v1.10.0", ["v1.2.3\n", "v1.9.0\n", "v1.9.99\n"]),
        ("v1.2.3", ["nightly", "v1", "v9.9.9-rc.1"]),
    ],
)
def test_larger_version_with_a_dated_section_may_be_released(tag: str, tags: list[str]) -> None:
    check(tag, CHANGELOG, tags)


@pytest.mark.parametrize(
    ("tag", "tags", "why"),
    [
        *(
            (tag, [], "is not a version like v1.2.3")
            for tag in (
                "1.2.3",
                "v1",
                "v1.2",
                "v1.2.3.4",
                "v1.2.3-rc.1",
                "v01.2.3",
                "v1.2.x",
                "V1.2.3",
                "",
                "v1.2.٣",
            )
        ),
        ("v1.2.3", ["v1.2.3\n"], "is not larger than the version before, v1.2.3"),
        ("v1.2.3", ["v1.10.0", "v1.2.2"], "is not larger than the version before, v1.10.0"),
        ("v1.2.4", [], "has 0 sections '1.2.4'"),
        ("v2.0.0", [], "has 2 sections '2.0.0'"),
        ("v1.2.2", [], "has no date like 2026-01-31, but ''"),
        ("v1.2.1", [], "has no date like 2026-01-31, but '2026-02-30'"),
    ],
)
def test_tag_needs_a_larger_version_and_a_dated_section(
    tag: str, tags: list[str], why: str
) -> None:
    with pytest.raises(ReleaseError, match=why):
        check(tag, CHANGELOG, tags)


def test_notes_are_the_section_of_the_version() -> None:
    assert notes("v1.10.0", CHANGELOG) == "### Added\n\n- More."
    assert notes("v1.2.3", CHANGELOG) == "- Less."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with the files that a release reads."""
    (tmp_path / "action.yml").write_text(ACTION, encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    return tmp_path


def test_point_command_writes_action_yml_only_on_success(root: Path) -> None:
    assert main(["point", f"{IMAGE}0"], root=root) == 1
    assert (root / "action.yml").read_text(encoding="utf-8") == ACTION

    assert main(["point", IMAGE], root=root) == 0
    assert (root / "action.yml").read_text(encoding="utf-8") == with_image(ACTION, IMAGE)


def test_check_command_reads_tags_and_names_its_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("v1.2.2\nnightly\n"))
    assert main(["check", "v1.2.3"], root=root) == 0

    monkeypatch.setattr("sys.stdin", io.StringIO("v1.2.3\n"))
    assert main(["check", "v1.2.3"], root=root) == 1
    assert capsys.readouterr().err == "v1.2.3 is not larger than the version before, v1.2.3\n"


def test_notes_command_prints_the_notes_or_reports_a_missing_changelog(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["notes", "v1.2.3"], root=root) == 0
    assert capsys.readouterr().out == "- Less.\n"

    (root / "CHANGELOG.md").unlink()
    assert main(["notes", "v1.2.3"], root=root) == 1
    assert capsys.readouterr().err == "There is no CHANGELOG.md\n"


def test_rebuild_needs_no_section_of_the_changelog(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rebuild = ["v1.2.5", "--rebuilds", "v1.2.4"]
    for tags, code in (("v1.2.4\n", 0), ("v1.2.5\n", 1)):
        monkeypatch.setattr("sys.stdin", io.StringIO(tags))
        assert main(["check", *rebuild], root=root) == code
    assert "v1.2.5 may be rebuilt, as v1.2.6" in capsys.readouterr().err

    assert main(["notes", *rebuild], root=root) == 0
    assert capsys.readouterr().out.startswith("v1.2.4, built again on the current")


@pytest.mark.parametrize(
    ("tags", "printed"), [("v0.9.0\nv0.10.2\n", "v0.10.2 v0.10.3\n"), ("nightly\n", "\n")]
)
def test_next_command_prints_the_newest_release_and_its_next_patch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tags: str, printed: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(tags))

    assert main(["next"]) == 0
    assert capsys.readouterr().out == printed
