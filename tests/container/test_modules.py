"""The image lacks only modules that nobody can import there (image/rootfs.py has the list).

The probes run in the image, so they check the architecture of the image that is tested. The
standard library has no sources there, so they read the imports from the bytecode.
"""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

from image.rootfs import LEFT_OUT
from tests.container.test_image import SITE, probe

OTHER_SYSTEMS = {
    "_overlapped",
    "_scproxy",
    "_winapi",
    "_wmi",
    "_winreg",
    "java",
    "msvcrt",
    "nt",
    "org",
    "vms_lib",
    "winreg",
    "winsound",
}
"""Modules that Python has on other systems only."""

OF_THE_FILE = {("entrypoint.http.tls", "truststore"), ("entrypoint.auth.kerberos", "gssapi")}
"""Imports that only airflow-dag-run.pyz reaches; it has the first, and the machine the second."""

IMPORTS = f"""
import dis, importlib.util, json, pathlib, sys, types

def find(name):
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None

def codes(code):
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from codes(each)

def imported(code, package):
    "Yield the module of each import, also of those in functions, and its names."
    for each in codes(code):
        before = []
        for step in dis.get_instructions(each):
            if step.opname == "IMPORT_NAME":
                level, names = before[-2].argval, before[-1].argval
                parts = package.split(".") if level else []
                parts = parts[: len(parts) - level + 1] + [step.argval] * bool(step.argval)
                yield ".".join(parts), names or ()
            before.append(step)

site = pathlib.Path("{SITE}")
names = [path.relative_to(site).with_suffix("").parts for path in site.rglob("*.py")]
todo = [".".join(parts[: len(parts) - (parts[-1] == "__init__")]) for parts in names]
todo += ["encodings.idna", "encodings.utf_8", "runpy", "site"]
seen, missing = set(), []
while todo:
    name = todo.pop()
    spec = None if name in seen else find(name)
    if spec is None:
        continue
    seen.add(name)
    todo.append(name.rpartition(".")[0] or name)
    try:
        code = spec.loader.get_code(name)
    except (AttributeError, ImportError):  # written in C, or collections.abc, which is an alias
        code = None
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    for module, attributes in imported(code, package) if code else ():
        todo += [module, *(f"{{module}}.{{each}}" for each in attributes)]
        if find(module) is None:
            missing.append([name, module])
print(json.dumps([sorted(seen), missing, sorted(sys.stdlib_module_names)]))
"""

FAILURES = f"""
import importlib, json, os, pathlib, sys, warnings

warnings.simplefilter("ignore")
skipped = {{"__main__", "__pycache__", "lib-dynload", "this"}}
skipped |= {{"_ios_support", "mbcs", "oem", "windows_events", "windows_utils"}}  # other systems
failures, count = [], 0
for root in ("{SITE}", os.path.dirname(os.__file__), os.path.dirname(os.__file__) + "/lib-dynload"):
    for path in sorted(pathlib.Path(root).rglob("*")):
        parts = path.relative_to(root).parts
        name = ".".join((*parts[:-1], parts[-1].partition(".")[0])).removesuffix(".__init__")
        if path.suffix not in (".py", ".pyc", ".so") or not all(map(str.isidentifier, parts[:-1])):
            continue
        if skipped & {{*name.split("."), *parts}}:
            continue
        count += 1
        try:
            importlib.import_module(name)
        except (ImportError, AttributeError) as error:
            failures.append([name, getattr(error, "name", None) or str(error)])
        except Exception as error:
            failures.append([name, repr(error)])
sys.stdout = sys.__stdout__
print(json.dumps([count, failures]))
"""


class Imports(NamedTuple):
    seen: set[str]
    """The modules that can be reached."""
    missing: set[tuple[str, str]]
    """An importer and a module that the image lacks."""
    standard: set[str]
    """The modules of Python's standard library, on any system."""


@cache
def imports(image: str) -> Imports:
    seen, missing, standard = json.loads(probe(image, IMPORTS))
    return Imports(set(seen), {(importer, name) for importer, name in missing}, set(standard))


def top(name: str) -> str:
    return name.partition(".")[0]


def test_the_list_names_only_modules_of_the_standard_library_and_the_image_lacks_each(
    image: str,
) -> None:
    names = sorted(LEFT_OUT)
    code = f"import importlib.util as i, json; print([n for n in {names} if i.find_spec(n)])"

    assert set(names) <= imports(image).standard | {"test"}
    assert probe(image, code).strip() == "[]"


def test_the_action_and_its_dependencies_import_no_module_that_the_image_lacks(image: str) -> None:
    """Also in functions. Only packages that the lock does not have may be missing."""
    seen, missing, standard = imports(image)
    known = standard | LEFT_OUT.keys()

    assert {"entrypoint.report.summary", "urllib3.connection", "ssl", "encodings.idna"} <= seen
    assert {one for one in missing if top(one[0]) == "entrypoint"} == OF_THE_FILE
    assert [
        (importer, name)
        for importer, name in missing
        if top(importer) not in standard and top(name) in known - OTHER_SYSTEMS
    ] == []


def test_what_the_standard_library_imports_is_there_or_left_out_on_purpose(image: str) -> None:
    """Only what the action and its dependencies reach."""
    _, missing, standard = imports(image)
    optional = {("site", "sitecustomize"), ("site", "usercustomize")}

    assert [
        (importer, name)
        for importer, name in missing - optional
        if top(importer) in standard and top(name) not in OTHER_SYSTEMS | LEFT_OUT.keys()
    ] == []


def test_every_module_of_the_image_can_be_imported(image: str) -> None:
    """So each shared library is there. A module may fail only for want of one left out."""
    count: int
    failures: list[tuple[str, str]]
    count, failures = json.loads(probe(image, FAILURES).splitlines()[-1])
    ours = imports(image).standard | {"entrypoint"}

    assert count > 400
    assert [
        (name, lacks)
        for name, lacks in failures
        if top(name) in ours and top(lacks) not in OTHER_SYSTEMS | LEFT_OUT.keys()
    ] == []
