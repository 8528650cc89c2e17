"""Which file of the checkout a worker's path means: the one whose end agrees longest, or none."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.runners import checkout
from entrypoint.runners.checkout import has_line, locate


def a_checkout(folder: Path, *files: str) -> Path:
    """A workspace that holds these files, of three lines each."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n2\n3\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("files", "name", "meant"),
    [
        # All of the path below the workspace agrees.
        (("dags/sales.py",), "/opt/airflow/dags/sales.py", "dags/sales.py"),
        (("sales.py",), "/opt/airflow/dags/sales.py", "sales.py"),
        (("sales.py",), "sales.py", "sales.py"),
        (("dags/etl/sales.py",), "/opt/airflow/dags/repo/dags/etl/sales.py", "dags/etl/sales.py"),
        # Or its last two parts at the least, wherever the checkout or a part of it was deployed.
        (
            ("airflow/dags/etl/sales.py",),
            "/home/airflow/gcs/dags/etl/sales.py",
            "airflow/dags/etl/sales.py",
        ),
        (("src/nightly/dags/sales.py",), "/opt/airflow/dags/sales.py", "src/nightly/dags/sales.py"),
        # A name alone is too little for a file in a folder.
        (("src/sales.py",), "/opt/airflow/dags/sales.py", None),
        (("dags/sales.py",), "sales.py", None),
        (("dags/sales.py",), "/opt/airflow/dags/other.py", None),
        (("dags/sales.py",), "/opt/airflow/dags/sales.pyc", None),
        (("dags/Sales.py",), "/opt/airflow/dags/sales.py", None),
        # The longest agreement wins.
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
        # Equally long ones are no answer.
        (("a/dags/sales.py", "b/dags/sales.py"), "/opt/airflow/dags/sales.py", None),
        (("a/etl/x.py", "b/etl/x.py", "c/etl/x.py"), "/opt/airflow/dags/etl/x.py", None),
        # A checkout below the workspace (`path:` of actions/checkout), and two of them.
        (("repo/dags/sales.py",), "/opt/airflow/dags/sales.py", "repo/dags/sales.py"),
        (("repo/sales.py",), "/opt/airflow/dags/repo/sales.py", "repo/sales.py"),
        (("main/dags/sales.py", "pr/dags/sales.py"), "/opt/airflow/dags/sales.py", None),
        # Workers on Windows, and odd ways to write a path.
        (("dags/sales.py",), r"C:\airflow\dags\sales.py", "dags/sales.py"),
        (("dags/sales.py",), r"\\server\share\dags\sales.py", "dags/sales.py"),
        (("dags/sales.py",), r"dags\sales.py", "dags/sales.py"),
        (("dags/sales.py",), "/opt/airflow/./dags//sales.py", "dags/sales.py"),
        (("dags/sales.py",), "dags/sales.py", "dags/sales.py"),
        # Installed code, Python's own, and what is no file.
        (("etl/sales.py",), "/usr/local/lib/python3.12/site-packages/etl/sales.py", None),
        (("etl/sales.py",), "/usr/lib/python3/dist-packages/etl/sales.py", None),
        (("json/decoder.py", "decoder.py"), "/usr/local/lib/python3.12/json/decoder.py", None),
        (("json/decoder.py",), "/root/.pyenv/versions/3.11.9/lib/python3.11/json/decoder.py", None),
        (("python3/sales.py",), "/opt/airflow/python3/sales.py", None),
        (("dags/sales.py",), "<string>", None),
        (("dags/sales.py",), "", None),
        (("dags/sales.py",), "/", None),
        (("dags/sales.py",), "..", None),
        # Folders that hold nobody's own code.
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
        # Odd names.
        (("dags/é 任务/a b.py",), "/opt/airflow/dags/é 任务/a b.py", "dags/é 任务/a b.py"),
        (("dags/::error::x.py",), "/opt/dags/::error::x.py", "dags/::error::x.py"),
    ],
)
def test_locate(tmp_path: Path, files: tuple[str, ...], name: str, meant: str | None) -> None:
    """A worker's path means the one file of the checkout whose end agrees longest with it, and
    otherwise none.
    """
    assert locate([name], a_checkout(tmp_path, *files)) == ({name: meant} if meant else {})


def test_locate_many(tmp_path: Path) -> None:
    """Each of several paths finds its own file; two may mean the same one."""
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
def test_locate_whatever(tmp_path_factory: pytest.TempPathFactory, called: list[str]) -> None:
    """Whatever a log calls a file, what is found is a file of the checkout of that very name, and
    nothing outside it.
    """
    workspace = tmp_path_factory.getbasetemp() / "whatever" / "checkout"
    a_checkout(workspace, "dags/b.py", "dags/etl/b.py", "b.py", "a")
    a_checkout(workspace.parent, "b.py", "a/b.py")

    for name, path in locate(called, workspace).items():
        assert (workspace / path).is_file()
        assert ".." not in Path(path).parts
        assert name.replace("\\", "/").rstrip("/.").rpartition("/")[2] == Path(path).name


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link of the checkout, to a file or to a folder, leads nowhere: neither out of it nor round
    in circles.
    """
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


def test_what_is_no_file(tmp_path: Path) -> None:
    """A named pipe, whose opening would wait for ever, is no file of the checkout, and nor is a
    folder.
    """
    (tmp_path / "dags" / "folder.py").mkdir(parents=True)
    os.mkfifo(tmp_path / "dags" / "pipe.py")

    assert locate(["/opt/dags/pipe.py", "/opt/dags/folder.py"], tmp_path) == {}


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    """A file so deep below the workspace that its path is too long for the system is passed over
    like any other.
    """
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
def test_no_checkout(tmp_path: Path, name: str) -> None:
    """Without a checkout, or with an empty one, nothing is found."""
    (tmp_path / "file").touch()

    assert locate(["/opt/dags/sales.py"], tmp_path / name) == {}


def test_the_search_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout of very many files is not searched to its end."""
    monkeypatch.setattr(checkout, "_MAX_FILES", 10)
    names = ["/opt/a/early.py", "/opt/z/late.py"]
    workspace = a_checkout(tmp_path, "a/early.py", *(f"m/{n}.txt" for n in range(9)), "z/late.py")

    assert locate(names, workspace) == {"/opt/a/early.py": "a/early.py"}
    (workspace / "m" / "0.txt").unlink()
    assert locate(names, workspace) == dict(zip(names, ["a/early.py", "z/late.py"], strict=True))


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
def test_has_line(
    tmp_path: Path, content: bytes, lines: Iterable[int], none: Iterable[int]
) -> None:
    """A line is there if the file is that long, counted as Python counts lines, in whatever
    encoding.
    """
    (tmp_path / "a.py").write_bytes(content)

    assert all(has_line(tmp_path, "a.py", line) for line in lines)
    assert not any(has_line(tmp_path, "a.py", line) for line in none)


def test_has_line_of_no_file(tmp_path: Path) -> None:
    """A file that is gone, or is a folder by now, has no line."""
    (tmp_path / "folder.py").mkdir()

    assert not has_line(tmp_path, "gone.py", 1)
    assert not has_line(tmp_path, "folder.py", 1)


def test_has_line_of_a_huge_file(tmp_path: Path) -> None:
    """A file that is far too large for source code is not read."""
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
        # Parts of other names.
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
# A table's column
def test_names(tmp_path: Path, content: str, word: str, named: bool) -> None:
    """A file names a DAG if its id stands in it as a word of its own."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "a.py").write_text(f"1\n{content}\n3\n", encoding="utf-8")

    assert checkout.names(["/opt/airflow/dags/a.py"], word, tmp_path) is named
    assert not checkout.names(["/opt/airflow/dags/b.py"], word, tmp_path)
    assert not checkout.names([], word, tmp_path)


def test_names_in_any_of_several_files(tmp_path: Path) -> None:
    """One file that names the DAG is enough, whatever its encoding, and files that nobody asked
    about do not count.
    """
    workspace = a_checkout(tmp_path, "dags/a.py", "dags/b.py", "dags/c.py")
    (workspace / "dags" / "b.py").write_bytes(b"\xff\xfe\x00 'sales' \xe9")

    assert checkout.names(["/opt/dags/a.py", "/opt/dags/b.py"], "sales", workspace)
    assert not checkout.names(["/opt/dags/a.py", "/opt/dags/c.py"], "sales", workspace)


def test_names_in_a_huge_file(tmp_path: Path) -> None:
    """A file that is far too large for source code is not read, and others still are."""
    workspace = a_checkout(tmp_path, "dags/a.py", "dags/b.py")
    with (workspace / "dags" / "a.py").open("wb") as file:
        file.write(b"sales\n")
        file.truncate(2**30)

    assert not checkout.names(["/opt/dags/a.py", "/opt/dags/b.py"], "sales", workspace)
    (workspace / "dags" / "b.py").write_text("sales")
    assert checkout.names(["/opt/dags/a.py", "/opt/dags/b.py"], "sales", workspace)
