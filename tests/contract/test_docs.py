"""The documentation matches the code: links, snippets, titles, architecture and pictures."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.pictures import summaries
from entrypoint.inputs.settings import INPUT_NAMES, parse_settings
from tests.support.doc_pages import ROOT, Section, anchor_of, pages, sections
from tests.support.titles import SOURCE, UnreadableTitle, titles
from tests.support.workflows import OURS, SHA, action_inputs, dangling, filled, is_ours, read_jobs

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
OUTPUTS = frozenset(ACTION["outputs"])
WORKFLOWS = sorted((ROOT / "examples" / "workflows").glob("*.yml"))
PAGES = {str(page.relative_to(ROOT)): sections(page) for page in pages()}
RECIPES = [section for section in PAGES["docs/recipes.md"] if section.level == 2]
TROUBLE = [section for section in PAGES["docs/troubleshooting.md"] if section.level == 3]
TITLES = titles()
NEVER_SHOWN = {
    "This Airflow cannot stream a run's state": "the step polls instead",
    "The run id or the logical date is taken": "the trigger says which of the two",
    "The XCom is too large": "the output says which one",
    "The XCom is missing": "the output says which one",
    "The task is not mapped": "its XCom is null then",
    "The XComs may not be read": "the feature is disabled",
}
"""Titles that never reach users, because a caller replaces them; the value says by what."""

STEPS = "on: push\npermissions: {}\njobs:\n  job:\n    runs-on: ubuntu-latest\n    steps:\n"
SNIPPETS = [
    pytest.param(content, id=f"{page}-{section.anchor or 'top'}-{number}")
    for page, parts in PAGES.items()
    for section in parts
    for number, (language, content) in enumerate(section.fences)
    if language in ("yaml", "yml")
]
every_page = pytest.mark.parametrize("page", PAGES)


def workflow_of(snippet: str) -> str:
    """Return a snippet as a whole workflow; the snippet is one, or a list of steps."""
    parsed: object = yaml.safe_load(snippet)
    if isinstance(parsed, list):
        return STEPS + "".join(f"      {line}\n" for line in snippet.splitlines())
    assert isinstance(parsed, dict)
    assert "jobs" in parsed, "neither a workflow nor a list of steps"
    return snippet


def without_its_head(text: str) -> str:
    """Return a workflow file without its leading comment."""
    return re.sub(r"\A(#.*\n)+", "", text)


# Links.


@every_page
def test_every_link_to_a_file_or_heading_of_this_repository_resolves(page: str) -> None:
    broken = []
    for section in PAGES[page]:
        for link in (*section.links, *section.pictures):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            there = target.resolve().is_relative_to(ROOT) and target.exists()
            if not there or (anchor and anchor not in {one.anchor for one in sections(target)}):
                broken.append(link)

    assert broken == []


def test_the_expected_pages_exist_and_each_page_is_linked() -> None:
    linked = {
        str(((ROOT / page).parent / link.partition("#")[0]).resolve().relative_to(ROOT))
        for page, parts in PAGES.items()
        for section in parts
        for link in section.links
        if not re.match(r"[a-z]+:|#", link)
    }

    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"} <= set(PAGES)
    assert {page for page in PAGES if page not in linked} <= {"README.md"}


@pytest.mark.parametrize(
    ("title", "before", "anchor"),
    [
        ("The commit you merged", [], "the-commit-you-merged"),
        ("`gate/`: what's decided", [], "gate-whats-decided"),
        ("The pool … is full", [], "the-pool--is-full"),
        ("dagrun_timeout, on-cancel", [], "dagrun_timeout-on-cancel"),
        ("Inputs", ["inputs", "inputs"], "inputs-2"),
    ],
)
def test_anchors_are_made_as_github_makes_them(title: str, before: list[str], anchor: str) -> None:
    assert anchor_of(title.replace("`", ""), before) == anchor


@every_page
def test_pages_name_no_host_besides_examples_and_public_ones(page: str) -> None:
    hosts = set(re.findall(r"https?://([\w.-]+)", (ROOT / page).read_text(encoding="utf-8")))
    public = {"github.com", "docs.github.com", "keepachangelog.com", "semver.org", "spdx.dev"}

    assert {host for host in hosts if not host.endswith("example.com")} <= public


# Snippets.


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_each_snippet_uses_known_inputs_and_outputs(snippet: str) -> None:
    text = workflow_of(snippet)

    for step in action_inputs(text):
        assert set(step) <= set(INPUT_NAMES)
        settings = parse_settings(filled(step), Path("/github/workspace"))
        assert settings.dag_id or settings.dags
    assert list(dangling(read_jobs(text), OUTPUTS)) == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_each_workflow_refers_only_to_existing_steps_jobs_and_outputs(file: Path) -> None:
    assert list(dangling(read_jobs(file.read_text(encoding="utf-8")), OUTPUTS)) == []


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("steps.dag.outputs.run_url", []),
        ("steps.dag.outputs.run_link", ["steps.dag.outputs.run_link"]),
        ("steps.gate.outputs.run_url", ["steps.gate.outputs.run_url"]),
        ("steps.other.outputs.whatever", []),
        ("needs.before.outputs.run_id", []),
        ("needs.before.outputs.run_url", ["needs.before.outputs.run_url"]),
        ("needs.stranger.outputs.run_id", ["needs.stranger.outputs.run_id"]),
    ],
)
def test_a_reference_to_a_missing_step_job_or_output_is_found(
    reference: str, found: list[str]
) -> None:
    jobs: dict[str, Any] = {
        "before": {"outputs": {"run_id": "x"}, "steps": []},
        "stranger": {"outputs": {"run_id": "x"}, "steps": []},
        "job": {
            "needs": "before",
            "steps": [
                {"id": "dag", "uses": f"{OURS}SHA"},
                {"id": "other", "uses": "octo-org/other@SHA"},
                {"run": f"echo ${{{{ {reference} }}}}"},
            ],
        },
    }
    assert is_ours(jobs["job"]["steps"][0])

    assert list(dangling(jobs, OUTPUTS)) == found


def test_snippets_pass_the_schema_and_zizmor(tmp_path: Path) -> None:
    """A snippet is a workflow by GitHub's schema, or steps of one.

    Zizmor checks whole workflows.
    """
    all_of_it, whole = tmp_path / "all", tmp_path / "whole" / ".github" / "workflows"
    for number, parameter in enumerate(SNIPPETS):
        snippet = str(parameter.values[0]).replace(f"{OURS}SHA", f"owner/airflow-dag-run@{SHA}")
        for folder in (all_of_it, whole) if "jobs:" in snippet else (all_of_it,):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.yml").write_text(workflow_of(snippet), encoding="utf-8")
    tools = Path(sys.executable).parent
    schema = [
        tools / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *all_of_it.iterdir(),
    ]
    # Not the pedantic persona, because a first workflow needs no concurrency
    # group, nor names for its jobs.
    safety = [tools / "zizmor", "--offline", "--quiet", tmp_path / "whole"]
    for command in (list(map(str, schema)), list(map(str, safety))):
        # Ours
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def whole_snippets(section: Section) -> list[str]:
    return [
        content
        for language, content in section.fences
        if language == "yaml" and "\njobs:\n" in content
    ]


@pytest.mark.parametrize("section", RECIPES, ids=lambda section: section.anchor)
def test_a_recipe_has_a_use_a_caveat_and_the_workflow_file_that_it_links(section: Section) -> None:
    files = [link for link in section.links if link.startswith("../examples/workflows/")]
    texts = [without_its_head((ROOT / "docs" / file).read_text(encoding="utf-8")) for file in files]

    assert section.text[0].startswith("When ")
    assert re.fullmatch(r"[^.]+\.", section.text[0]), "one sentence"
    assert "Watch out:" in section.text
    assert section.fences
    assert whole_snippets(section) == texts


def test_whole_workflows_are_in_the_recipes_or_first_in_the_readme() -> None:
    """Only those are compared with a file."""
    others = [
        (page, section.title)
        for page, parts in PAGES.items()
        for section in parts
        if page != "docs/recipes.md" and whole_snippets(section)
    ]

    assert others == [("README.md", "Airflow DAG Run")]


# Titles.


@pytest.mark.parametrize(
    "title", [title for title in TITLES if re.sub(r"\\(.)", r"\1", title) not in NEVER_SHOWN]
)
def test_every_title_has_a_section_in_troubleshooting(title: str) -> None:
    assert [section.title for section in TROUBLE if re.fullmatch(title, section.title)], TITLES[
        title
    ]


@pytest.mark.parametrize("section", TROUBLE, ids=lambda section: section.anchor)
def test_every_troubleshooting_section_explains_a_title_of_the_action(section: Section) -> None:
    """A section has the meaning, what to check and what to do."""
    assert [title for title in TITLES if re.fullmatch(title, section.title)]
    assert [text.split(":")[0] for text in section.text[:3]] == ["**Means", "**Look at", "**Do"]


@pytest.mark.parametrize("title", NEVER_SHOWN)
def test_titles_that_are_never_shown_exist_and_have_no_section(title: str) -> None:
    assert re.escape(title) in TITLES
    assert title not in [section.title for section in TROUBLE]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise Paused("It is paused", detail, hint)', ["It is paused"]),
        ('raise Paused(f"The pool {name} is full", detail, hint)', ["The pool .+ is full"]),
        ('yield Blocker("One" if name else "Two", "")', ["One", "Two"]),
        ('title = "Late"\n    raise errors.Paused(title, "", "")', ["Late"]),
        ('runner.annotate("warning", "Careful", text)', ["Careful"]),
        ('runner.annotate(level, f"Waiting: {blocker.title}", text)', []),
        ("annotate(outcome, runner)", []),
        ("return Message(error.title, error.detail, error.hint)", []),
        ('raise ValueError("no title")', []),
    ],
)
def test_titles_are_found_in_every_form_of_call(
    tmp_path: Path, source: str, found: list[str]
) -> None:
    (tmp_path / "errors.py").write_text(
        "class ActionError(Exception): ...\nclass Paused(ActionError): ...\n"
    )
    (tmp_path / "gate.py").write_text(f"def gate(name):\n    {source}\n")

    assert [title.replace("\\", "") for title in titles(tmp_path)] == found


def test_a_title_that_the_search_cannot_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "errors.py").write_text("class ActionError(Exception): ...\n")
    (tmp_path / "gate.py").write_text('raise ActionError("a" + "b", "", "")\n')

    with pytest.raises(UnreadableTitle, match=r"gate\.py:1"):
        titles(tmp_path)


# The architecture.


def architecture() -> str:
    return (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def modules() -> list[str]:
    """Return every module of the action, below `entrypoint/`."""
    return [str(path.relative_to(SOURCE)) for path in sorted(SOURCE.rglob("*.py"))]


def modules_covered_by_their_package() -> set[str]:
    """Return the modules without a row of their own.

    The heading of the package's table covers them.
    """
    return {"__init__.py"}


def test_the_architecture_page_names_every_module_and_folder() -> None:
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", architecture()))
    folders = {f"{Path(module).parent}/" for module in modules() if "/" in module}

    assert set(modules()) - named == modules_covered_by_their_package()
    assert folders <= named


def test_every_path_in_the_architecture_page_exists() -> None:
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", architecture()))

    assert [
        name for name in named if not ((SOURCE / name).exists() or (ROOT / name).exists())
    ] == []


def test_the_layers_in_the_architecture_page_are_those_of_import_linter() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]
    (floors,) = [
        section for section in PAGES["docs/architecture.md"] if section.title == "The layers"
    ]

    assert floors.fences[0][1].splitlines() == linter["contracts"][0]["layers"]


# Pictures.


def test_each_picture_is_used_small_and_made_from_the_actions_own_markdown() -> None:
    readme = PAGES["README.md"]
    shown = {path: alt for section in readme for path, alt in section.pictures.items()}
    linked = {link for section in readme for link in section.links}

    for name, text in summaries().items():
        path = f"docs/images/{name}.png"
        picture = (ROOT / path).read_bytes()
        assert path in linked | set(shown)
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 150_000
        assert text.startswith("## ")
    assert sorted(file.stem for file in (ROOT / "docs" / "images").iterdir()) == sorted(summaries())


def test_each_picture_has_alternative_text_that_begins_with_its_heading() -> None:
    alts = [
        alt for parts in PAGES.values() for section in parts for alt in section.pictures.values()
    ]
    headings = [re.sub(r"^## \S+ |`", "", text.split("\n")[0]) for text in summaries().values()]

    assert alts
    assert all(any(heading in alt for heading in headings) and len(alt) > 100 for alt in alts)


# Their width.


@pytest.mark.parametrize("path", sorted(PAGES))
def test_prose_has_at_most_100_columns(path: str) -> None:
    """Tables, code and URLs may be longer."""
    fenced, long = False, []
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        fenced ^= line.lstrip().startswith("```")
        if len(line) > 100 and not fenced and not line.lstrip().startswith("|"):
            long.append(line)

    assert [line for line in long if "http" not in line and not line.startswith("![")] == []


# The changelog.


def test_the_changelog_has_an_unreleased_section_and_dated_releases() -> None:
    headings = [section.title for section in PAGES["CHANGELOG.md"] if section.level == 2]

    assert headings[0] == "[Unreleased]"
    assert all(
        re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]
    )


# Citations of the notes.

CITATION = re.compile(r"docs/notes/([\w.-]+\.md)(#[\w-]+)?")
OLD_CITATION = re.compile(
    r"(?<![\w/-])(?:airflow-[23]|airflow-versions|runner|authentication|listeners|waiting)\.md \d"
    r"|\.\./shared/facts"
)
WRITTEN = [ROOT / name for name in ("Dockerfile", "Makefile", "action.yml", "pyproject.toml")]
WRITTEN += [
    path
    for folder in (
        "entrypoint",
        "listener",
        "bin",
        "dev",
        "image",
        "tests",
        "docs",
        "examples",
        ".github",
    )
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file()
    and path.suffix in ("", ".py", ".md", ".yml", ".sh", ".in")
    and "__pycache__" not in path.parts
]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_cited_heading_of_the_notes_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    cited = {(page, anchor.removeprefix("#")) for page, anchor in CITATION.findall(text)}
    assert [
        one
        for one in cited
        if one[1] not in {section.anchor for section in PAGES[f"docs/notes/{one[0]}"]}
    ] == []
    assert path == Path(__file__) or OLD_CITATION.search(text) is None
