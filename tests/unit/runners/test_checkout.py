"""Finding the file of the checkout that a worker's path means."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.runners import checkout
from entrypoint.runners.checkout import RepositoryFile, has_line, in_repository, locate


def a_checkout(folder: Path, *files: str) -> Path:
    """Return a workspace with these files, of three lines each."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n2\n3\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("files", "name", "meant"),
    [
        # The whole path below the workspace matches.
        (("dags/sales.py",), "/opt/airflow/dags/sales.py", "dags/sales.py"),
        (("sales.py",), "/opt/airflow/dags/sales.py", "sales.py"),
        (("sales.py",), "sales.py", "sales.py"),
        (("dags/etl/sales.py",), "/opt/airflow/dags/repo/dags/etl/sales.py", "dags/etl/sales.py"),
        # At least the last two parts match.
        (
            ("airflow/dags/etl/sales.py",),
            "/home/airflow/gcs/dags/etl/sales.py",
            "airflow/dags/etl/sales.py",
        ),
        (("src/nightly/dags/sales.py",), "/opt/airflow/dags/sales.py", "src/nightly/dags/sales.py"),
        # A matching name alone is not enough for a file in a folder.
        (("src/sales.py",), "/opt/airflow/dags/sales.py", None),
        (("dags/sales.py",), "sales.py", None),
        (("dags/sales.py",), "/opt/airflow/dags/other.py", None),
        (("dags/sales.py",), "/opt/airflow/dags/sales.pyc", None),
        (("dags/Sales.py",), "/opt/airflow/dags/sales.py", None),
        # The longest match wins.
        (("sales.py", "dags/sales.py"), "/opt/airflow/dags/sales.py", "dags/sales.py"),
        (
            ("a/etl/sales.py", "dags/etl/sales.py"),
            "/opt/airflow/dags/etl/sales.py",
            "dags/etl/sales.py",
        ),
        (
            ("dags/etl/sales.py", "z/etl/sales.py"),
            "/opt/airflow/dags/etl/sales.py",
            "dags/etl/sales.py",
        ),
        (
            ("a/etl/sales.py", "b/etl/sales.py", "x/dags/etl/sales.py"),
            "/o/dags/etl/sales.py",
            "x/dags/etl/sales.py",
        ),
        # Two matches of the same length mean no match.
        (("a/dags/sales.py", "b/dags/sales.py"), "/opt/airflow/dags/sales.py", None),
        (("a/etl/x.py", "b/etl/x.py", "c/etl/x.py"), "/opt/airflow/dags/etl/x.py", None),
        # One or two checkouts below the workspace (`path:` of actions/checkout).
        (("repo/dags/sales.py",), "/opt/airflow/dags/sales.py", "repo/dags/sales.py"),
        (("repo/sales.py",), "/opt/airflow/dags/repo/sales.py", "repo/sales.py"),
        (("main/dags/sales.py", "pr/dags/sales.py"), "/opt/airflow/dags/sales.py", None),
        # Windows workers and unusual paths.
        (("dags/sales.py",), r"C:\airflow\dags\sales.py", "dags/sales.py"),
        (("dags/sales.py",), r"\\server\share\dags\sales.py", "dags/sales.py"),
        (("dags/sales.py",), r"dags\sales.py", "dags/sales.py"),
        (("dags/sales.py",), "/opt/airflow/./dags//sales.py", "dags/sales.py"),
        (("dags/sales.py",), "dags/sales.py", "dags/sales.py"),
        # Installed packages, the standard library, and texts that are no file.
        (("etl/sales.py",), "/usr/local/lib/python3.12/site-packages/etl/sales.py", None),
        (("etl/sales.py",), "/usr/lib/python3/dist-packages/etl/sales.py", None),
        (("json/decoder.py", "decoder.py"), "/usr/local/lib/python3.12/json/decoder.py", None),
        (("json/decoder.py",), "/root/.pyenv/versions/3.11.9/lib/python3.11/json/decoder.py", None),
        (("python3/sales.py",), "/opt/airflow/python3/sales.py", None),
        (("dags/sales.py",), "<string>", None),
        (("dags/sales.py",), "", None),
        (("dags/sales.py",), "/", None),
        (("dags/sales.py",), "..", None),
        # Folders without the user's own code.
        ((".venv/etl/sales.py",), "/opt/airflow/etl/sales.py", None),
        (
            ("node_modules/etl/sales.py", "src/etl/sales.py"),
            "/opt/airflow/etl/sales.py",
            "src/etl/sales.py",
        ),
        (
            (".git/etl/sales.py", "lib/site-packages/etl/sales.py"),
            "/opt/airflow/etl/sales.py",
            None,
        ),
        (
            (".tox/py/etl/sales.py", "a/venv/etl/sales.py", "__pycache__/sales.py"),
            "/opt/airflow/etl/sales.py",
            None,
        ),
        # Unusual names.
        (("dags/é 任务/a b.py",), "/opt/airflow/dags/é 任务/a b.py", "dags/é 任务/a b.py"),
        (("dags/::error::x.py",), "/opt/dags/::error::x.py", "dags/::error::x.py"),
    ],
)
def test_path_means_the_file_with_the_longest_common_end(
    tmp_path: Path, files: tuple[str, ...], name: str, meant: str | None
) -> None:
    assert locate([name], a_checkout(tmp_path, *files)) == ({name: meant} if meant else {})


def test_each_of_several_paths_finds_its_file(tmp_path: Path) -> None:
    workspace = a_checkout(tmp_path, "dags/a.py", "dags/etl/b.py", "plugins/a.py")
    names = [
        "/old/dags/a.py",
        "/new/dags/a.py",
        "/x/plugins/a.py",
        "/x/etl/b.py",
        "/usr/lib/python3.12/re/a.py",
    ]

    assert locate(names, workspace) == {
        "/old/dags/a.py": "dags/a.py",
        "/new/dags/a.py": "dags/a.py",
        "/x/plugins/a.py": "plugins/a.py",
        "/x/etl/b.py": "dags/etl/b.py",
    }


parts = st.lists(
    st.sampled_from(["dags", "etl", "a", "b.py", "..", "", "site-packages", "C:"]), max_size=5
)
names = st.builds(lambda slash, found: slash.join(found), st.sampled_from("/\\"), parts) | st.text(
    max_size=20
)


@given(st.lists(names, max_size=5))
def test_any_path_finds_only_a_file_of_that_name_in_the_checkout(
    tmp_path_factory: pytest.TempPathFactory, called: list[str]
) -> None:
    workspace = tmp_path_factory.getbasetemp() / "whatever" / "checkout"
    a_checkout(workspace, "dags/b.py", "dags/etl/b.py", "b.py", "a")
    a_checkout(workspace.parent, "b.py", "a/b.py")

    for name, path in locate(called, workspace).items():
        assert (workspace / path).is_file()
        assert ".." not in Path(path).parts
        assert name.replace("\\", "/").rstrip("/.").rpartition("/")[2] == Path(path).name


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    outside = a_checkout(tmp_path / "outside", "dags/sales.py")
    workspace = a_checkout(tmp_path / "checkout", "README.md")
    (workspace / "etl").symlink_to(outside / "dags")
    (workspace / "dags").mkdir()
    (workspace / "dags" / "sales.py").symlink_to(outside / "dags" / "sales.py")
    (workspace / "dags" / "dangling.py").symlink_to(outside / "nothing")
    (workspace / "loop").symlink_to(workspace)

    assert (
        locate(["/opt/dags/sales.py", "/opt/etl/sales.py", "/opt/dags/dangling.py"], workspace)
        == {}
    )
    a_checkout(workspace, "more/dags/sales.py")
    assert locate(["/opt/dags/sales.py"], workspace) == {"/opt/dags/sales.py": "more/dags/sales.py"}


def test_named_pipe_and_folder_are_no_files(tmp_path: Path) -> None:
    """Opening a named pipe would block forever."""
    (tmp_path / "dags" / "folder.py").mkdir(parents=True)
    os.mkfifo(tmp_path / "dags" / "pipe.py")

    assert locate(["/opt/dags/pipe.py", "/opt/dags/folder.py"], tmp_path) == {}


def test_file_with_a_too_long_path_is_skipped(tmp_path: Path) -> None:
    a_checkout(tmp_path, "dags/sales.py")
    room = 4095 - len(str(tmp_path))
    folder = os.open(tmp_path, os.O_RDONLY)
    for name in ["z" * 200] * (room // 201) + ["z" * (room % 201 - 1)] * (room % 201 > 1):
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("sales.py", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)

    assert locate(["/opt/dags/sales.py"], tmp_path) == {"/opt/dags/sales.py": "dags/sales.py"}


@pytest.mark.parametrize("name", ["nothing", "file", ""])
def test_missing_or_empty_checkout_has_no_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    assert locate(["/opt/dags/sales.py"], tmp_path / name) == {}


def test_search_of_a_large_checkout_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "_MAX_FILES", 10)
    names = ["/opt/a/early.py", "/opt/z/late.py"]
    workspace = a_checkout(tmp_path, "a/early.py", *(f"m/{n}.txt" for n in range(9)), "z/late.py")

    said: list[str] = []

    assert locate(names, workspace, said.append) == {"/opt/a/early.py": "a/early.py"}
    assert [text[:40] for text in said] == ["The workspace has more than 10 files. No"]
    (workspace / "m" / "0.txt").unlink()
    assert locate(names, workspace, said.append) == dict(
        zip(names, ["a/early.py", "z/late.py"], strict=True)
    )
    assert len(said) == 1


HTTPS = '[core]\n\tbare = false\n[remote "origin"]\n\turl = https://github.com/octo-org/sales\n'
OTHER = "https://github.com/octo-org/other.git"


def a_repository(root: Path, config: str | None = HTTPS, *files: str) -> Path:
    """Make a folder the root of a repository with this git configuration."""
    (root / ".git").mkdir(parents=True)
    if config is not None:
        (root / ".git" / "config").write_text(config)
    return a_checkout(root, *files)


def test_whole_path_below_a_repository_matches(tmp_path: Path) -> None:
    """A single name is enough for a file at the root of a checkout, whatever its `path`."""
    a_repository(tmp_path / "a" / "src", HTTPS, "sales.py", "lib/stock.py")
    names = ["/opt/airflow/dags/sales.py", "/opt/airflow/dags/stock.py"]

    assert locate(names, tmp_path) == {names[0]: "a/src/sales.py"}


@pytest.mark.parametrize("root", ["", "src", "a/b c"])
def test_file_is_named_as_its_repository_does(tmp_path: Path, root: str) -> None:
    a_repository(tmp_path / root, HTTPS, "dags/sales.py")
    path = f"{root}/dags/sales.py".lstrip("/")

    assert in_repository(tmp_path, path) == RepositoryFile("dags/sales.py", "octo-org/sales")
    (tmp_path / root / ".git").rename(tmp_path / root / "nothing")
    assert in_repository(tmp_path, path) == RepositoryFile(path, "")


@pytest.mark.parametrize(
    ("config", "repository"),
    [
        (HTTPS.replace("/sales", "/sales.git"), "octo-org/sales"),
        (HTTPS.replace("https://", "https://user:word@"), "octo-org/sales"),
        (HTTPS.replace("https://github.com/", "git@github.com:"), "octo-org/sales"),
        (HTTPS.replace("https://", "ssh://git@"), "octo-org/sales"),
        (HTTPS.replace("sales", "sales/"), "octo-org/sales"),
        (HTTPS.replace("origin", "fork"), ""),
        (f'{HTTPS}[remote "fork"]\n\turl = {OTHER}\n', "octo-org/sales"),
        (f'[remote "fork"]\n\turl = {OTHER}\n{HTTPS}', "octo-org/sales"),
        (HTTPS.replace("https://github.com/octo-org/sales", "here"), ""),
        ("\0\ufffd[", ""),
        (None, ""),
    ],
)
def test_repository_is_that_of_origin(tmp_path: Path, config: str | None, repository: str) -> None:
    a_repository(tmp_path / "src", config, "a.py")

    assert in_repository(tmp_path, "src/a.py") == RepositoryFile("a.py", repository)


def test_file_of_a_submodule_belongs_to_the_submodule(tmp_path: Path) -> None:
    a_repository(tmp_path, HTTPS, "lib/x/a.py", ".git/modules/x/HEAD")
    (tmp_path / "lib" / "x" / ".git").write_text("gitdir: ../../.git/modules/x\n")
    (tmp_path / ".git/modules/x/config").write_text(f'[remote "origin"]\nurl={OTHER}\n')

    assert in_repository(tmp_path, "lib/x/a.py") == RepositoryFile("a.py", "octo-org/other")


@pytest.mark.parametrize("how", ["file", "link to the folder", "link to the file", "loop", "pipe"])
def test_git_configuration_is_read_only_inside_the_workspace(tmp_path: Path, how: str) -> None:
    outside = a_repository(tmp_path / "outside") / ".git"
    git = a_checkout(tmp_path / "here", "a.py") / ".git"
    if how == "file":
        git.write_text(f"gitdir: {outside}")
    elif how == "link to the folder":
        git.symlink_to(outside)
    elif how == "loop":
        git.symlink_to(git)
    else:
        git.mkdir()
        if how == "pipe":
            os.mkfifo(git / "config")
        else:
            (git / "config").symlink_to(outside / "config")

    assert in_repository(tmp_path / "here", "a.py") == RepositoryFile("a.py", "")


@pytest.mark.parametrize(
    ("content", "lines", "none"),
    [
        (b"", (), (0, 1, -1)),
        (b"1", (1,), (0, 2)),
        (b"1\n", (1,), (2,)),
        (b"1\n2\n3", (1, 2, 3), (0, 4, -1, 10**12)),
        (b"\xff\xfe\x00\n\x85\r\n\xe2\x80\xa8", (1, 2, 3), (4,)),
    ],
)
def test_line_exists_up_to_the_length_of_the_file(
    tmp_path: Path, content: bytes, lines: Iterable[int], none: Iterable[int]
) -> None:
    """Lines are counted as Python does, in any encoding."""
    (tmp_path / "a.py").write_bytes(content)

    assert all(has_line(tmp_path, "a.py", line) for line in lines)
    assert not any(has_line(tmp_path, "a.py", line) for line in none)


def test_missing_file_or_folder_has_no_line(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()

    assert not has_line(tmp_path, "gone.py", 1)
    assert not has_line(tmp_path, "folder.py", 1)


def test_huge_file_has_no_line(tmp_path: Path) -> None:
    with (tmp_path / "a.py").open("wb") as file:
        file.write(b"1\n2\n")
        file.truncate(2**30)

    assert not has_line(tmp_path, "a.py", 1)


@pytest.mark.parametrize(
    ("content", "word", "named"),
    [
        ('with DAG("nightly_sales"):', "nightly_sales", True),
        ("dag_id='nightly_sales'", "nightly_sales", True),
        ("nightly_sales", "nightly_sales", True),
        ("def nightly_sales():", "nightly_sales", True),
        ("# nightly-sales", "nightly-sales", True),
        ("x = 'team.nightly'", "team.nightly", True),
        # The id within another name.
        ("my_nightly_sales", "nightly_sales", False),
        ("nightly_sales2", "nightly_sales", False),
        ("nightly_sales.py", "nightly_sales", False),
        ("team.nightly_sales", "nightly_sales", False),
        ("nightly_sales-eu", "nightly_sales", False),
        ("Nightly_Sales", "nightly_sales", False),
        ("x = 'teamXnightly'", "team.nightly", False),
        ("", "nightly_sales", False),
    ],
)
def test_file_names_a_dag_if_its_id_is_a_whole_word(
    tmp_path: Path, content: str, word: str, named: bool
) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "a.py").write_text(f"1\n{content}\n3\n", encoding="utf-8")

    assert checkout.names(["/opt/airflow/dags/a.py"], word, tmp_path) is named
    assert not checkout.names(["/opt/airflow/dags/b.py"], word, tmp_path)
    assert not checkout.names([], word, tmp_path)


def test_one_of_several_files_may_name_the_dag(tmp_path: Path) -> None:
    workspace = a_checkout(tmp_path, "dags/a.py", "dags/b.py", "dags/c.py")
    (workspace / "dags" / "b.py").write_bytes(b"\xff\xfe\x00 'sales' \xe9")

    assert checkout.names(["/opt/dags/a.py", "/opt/dags/b.py"], "sales", workspace)
    assert not checkout.names(["/opt/dags/a.py", "/opt/dags/c.py"], "sales", workspace)


def test_huge_file_is_skipped_and_others_are_read(tmp_path: Path) -> None:
    workspace = a_checkout(tmp_path, "dags/a.py", "dags/b.py")
    with (workspace / "dags" / "a.py").open("wb") as file:
        file.write(b"sales\n")
        file.truncate(2**30)

    assert not checkout.names(["/opt/dags/a.py", "/opt/dags/b.py"], "sales", workspace)
    (workspace / "dags" / "b.py").write_text("sales")
    assert checkout.names(["/opt/dags/a.py", "/opt/dags/b.py"], "sales", workspace)
