"""Which DAGs the changed files belong to."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.models import ChangedDags, ChangedFiles, Dag
from entrypoint.run.changed_dags import match_files

ADag = Callable[[str, str], Dag]
FOLDER = "/opt/airflow/dags"


def on_2(dag_id: str, path: str, folder: str = FOLDER) -> Dag:
    """Return a DAG of Airflow 2, which reports only an absolute path."""
    fileloc = f"{folder}/{path}"
    return Dag(dag_id, False, True, False, file=fileloc, fileloc=fileloc)


def on_3(dag_id: str, path: str, folder: str = FOLDER) -> Dag:
    """Return a DAG of Airflow 3, whose bundle is in this folder."""
    return on_2(dag_id, path, folder)._replace(file=path, bundle="dags-folder")


BOTH = pytest.mark.parametrize("a_dag", [on_2, on_3])


def match(
    dags: list[Dag],
    *changed: str,
    deleted: tuple[str, ...] = (),
    others: tuple[str, ...] | None = (),
) -> ChangedDags:
    """Return the match; `others` are the unchanged files, None if they are unknown."""
    all_files = None if others is None else (*others, *changed)
    return match_files(dags, ChangedFiles(tuple(changed), deleted, all_files, "…"))


@BOTH
@pytest.mark.parametrize("prefix", ["", "dags/", "airflow/dags/", "a/b/c/"])
def test_a_dag_folder_may_be_anywhere_in_the_repository(a_dag: ADag, prefix: str) -> None:
    path = f"{prefix}team/sales.py"
    found = match([a_dag("sales", "team/sales.py"), a_dag("stock", "stock.py")], path)

    assert found == ChangedDags({"sales": (path,)}, ())


@BOTH
def test_a_file_with_several_dags_stands_for_all_of_them(a_dag: ADag) -> None:
    dags = [a_dag(name, "sales.py") for name in ("b", "a", "c")]
    found = match([*dags, a_dag("other", "other.py")], "dags/sales.py")

    assert list(found.files) == ["b", "a", "c"]
    assert set(found.files.values()) == {("dags/sales.py",)}


@BOTH
@pytest.mark.parametrize("others", [("README.md",), None])
def test_files_of_no_dag_are_named_in_order(a_dag: ADag, others: tuple[str, ...] | None) -> None:
    """A helper module, a page, a SQL file beside the DAG, and a name that only ends alike."""
    changed = ("README.md", "dags/helpers.py", "dags/my_sales.py", "dags/sales.sql", "sales.py/x")
    found = match([a_dag("sales", "sales.py")], *changed, others=others)

    assert found == ChangedDags({}, changed)


@BOTH
def test_a_deleted_file_belongs_to_no_dag(a_dag: ADag) -> None:
    found = match([a_dag("sales", "sales.py")], deleted=("dags/sales.py",))

    assert found == ChangedDags({}, ())


@BOTH
@pytest.mark.parametrize("changed", ["dags/team/sales.py", "dags/other/sales.py"])
def test_a_file_does_not_stand_for_the_dag_of_another_file_with_its_name(
    a_dag: ADag, changed: str
) -> None:
    """The unchanged file counts, because it fits better."""
    both = ("dags/team/sales.py", "dags/other/sales.py")
    dags = [a_dag("team_sales", "team/sales.py"), a_dag("other_sales", "other/sales.py")]
    found = match(dags, changed, others=both)
    folder = changed.split("/")[1]

    assert found == ChangedDags({f"{folder}_sales": (changed,)}, ())


def test_on_airflow_3_the_paths_agree_as_far_as_both_go() -> None:
    """Also if not all files of the repository are known."""
    dags = [on_3("sales", "team/sales.py")]

    assert match(dags, "dags/other/sales.py", others=None).files == {}
    assert match(dags, "dags/myteam/sales.py", others=None).files == {}
    assert match(dags, "x/team/sales.py", others=None).files == {"sales": ("x/team/sales.py",)}


def test_on_airflow_2_the_name_of_a_file_is_enough_if_no_other_fits_better() -> None:
    """A deployment may copy the file to another folder."""
    dags = [on_2("sales", "deployed/sales.py")]

    assert match(dags, "src/sales.py").files == {"sales": ("src/sales.py",)}
    assert match(dags, "src/sales.py", others=("x/deployed/sales.py",)).files == {}


@BOTH
def test_of_files_that_fit_equally_each_stands_for_the_dag(a_dag: ADag) -> None:
    """It is unknown which of them is deployed, and a DAG that does not run may be broken."""
    found = match([a_dag("sales", "sales.py")], "eu/sales.py", "us/sales.py")

    assert found == ChangedDags({"sales": ("eu/sales.py", "us/sales.py")}, ())


@pytest.mark.parametrize(
    "folder",
    [
        "/opt/airflow/bundles/git/tracking_repo/airflow/dags",
        "/bundles/versions/4b825dc/airflow/dags",
    ],
)
def test_in_a_git_bundle_with_a_subdirectory_the_file_below_it_counts(folder: str) -> None:
    """The absolute path decides between two files that end alike."""
    changed, other = "airflow/dags/sales.py", "legacy/dags/sales.py"
    dags = [on_3("sales", "sales.py", folder)]

    assert match(dags, changed, others=(other,)).files == {"sales": (changed,)}
    assert match(dags, other, others=(changed,)) == ChangedDags({}, (other,))


@BOTH
def test_a_repository_may_be_a_part_of_the_dag_folder(a_dag: ADag) -> None:
    """As with git-sync into a folder of the DAG folder. A file that fits better still wins."""
    dags = [a_dag("sales", "repo/team/sales.py")]

    assert match(dags, "team/sales.py").files == {"sales": ("team/sales.py",)}
    assert match(dags, "sales.py", others=("team/sales.py",)).files == {}


@BOTH
@pytest.mark.parametrize("prefix", ["", "dags/"])
def test_a_dag_in_a_zip_archive_belongs_to_the_archive(a_dag: ADag, prefix: str) -> None:
    archive = f"{prefix}team/pack.zip"
    dags = [a_dag("sales", "team/pack.zip/sales.py"), a_dag("stock", "team/pack.zip/stock.py")]

    found = match(dags, archive, "src/sales.py")

    assert found == ChangedDags({"sales": (archive,), "stock": (archive,)}, ("src/sales.py",))
    assert match(dags, "src/sales.py", others=(archive,)).files == {}


@BOTH
def test_of_an_archive_that_the_repository_does_not_have_the_packed_file_counts(
    a_dag: ADag,
) -> None:
    """The archive was built from the repository."""
    dags = [a_dag("sales", "team/pack.zip/sales.py"), a_dag("stock", "team/pack.zip/stock.py")]

    assert match(dags, "packages/pack/sales.py").files == {"sales": ("packages/pack/sales.py",)}


@BOTH
def test_a_dag_without_a_file_matches_nothing(a_dag: ADag) -> None:
    dag = a_dag("sales", "sales.py")._replace(file="", fileloc="")

    assert match([dag], "sales.py") == ChangedDags({}, ("sales.py",))


def test_nothing_changed_matches_nothing() -> None:
    assert match([on_2("sales", "sales.py")], others=("sales.py",)) == ChangedDags({}, ())


NAMES = st.sampled_from(["a", "b", "c.py", "dags"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(st.sets(PATHS, min_size=1), st.sets(PATHS), PATHS, st.booleans())
def test_every_changed_file_stands_for_a_dag_or_is_named(
    changed: set[str], others: set[str], dag_file: str, three: bool
) -> None:
    """Each only once, and only files with the name of the DAG's file stand for it."""
    found = match([(on_3 if three else on_2)("d", dag_file)], *sorted(changed), others=(*others,))
    files = found.files.get("d", ())

    assert sorted((*files, *found.other_files)) == sorted(changed)
    assert all(file.split("/")[-1] == dag_file.rsplit("/", maxsplit=1)[-1] for file in files)
    if three:
        for file in files:
            longer, shorter = sorted((f"/{file}", f"/{dag_file}"), key=len, reverse=True)
            assert longer.endswith(shorter)
