"""`python rootfs.py FOLDER`: copy what the image needs of this machine into an empty folder.

The last stage of the Dockerfile starts from scratch, so that folder becomes the image's root. The
libraries are those that `ldd` names, so no path here belongs to one architecture. The script runs
in the build stage with the Python that it copies, and needs only the standard library.

The standard library is copied as bytecode without its sources, which are 3 MB compressed: a
traceback still names file, function and line. The action and its dependencies keep their sources.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

LEFT_OUT = {
    # Nothing in the image is a terminal program, prompts for Python code or shows a window.
    "_curses": "terminal programs",
    "_curses_panel": "terminal programs",
    "_pyrepl": "the interactive prompt",
    "curses": "terminal programs",
    "readline": "the interactive prompt",
    "rlcompleter": "the interactive prompt",
    "_tkinter": "windows",
    "idlelib": "windows",
    "tkinter": "windows",
    "turtle": "windows",
    "turtledemo": "windows",
    # No file of these kinds exists.
    "_dbm": "databases",
    "_gdbm": "databases",
    "_sqlite3": "databases",
    "dbm": "databases",
    "sqlite3": "databases",
    # Nothing is developed, tested, documented or installed in the image.
    "doctest": "tests; other modules import it only if they are started as a program",
    "ensurepip": "installs pip",
    "pdb": "the debugger",
    "pydoc": "documentation",
    "pydoc_data": "documentation",
    "test": "tests",
    "unittest": "tests",
    "venv": "creates environments",
    # The action has one process.
    "_multiprocessing": "processes",
    "_posixshmem": "processes",
    "multiprocessing": "processes",
    # It serves nothing and starts no browser.
    "webbrowser": "starts a browser",
    "wsgiref": "a server",
    "xmlrpc": "a server",
}
"""Modules of the standard library that the image lacks, each with its subject.

`tests/container/test_modules.py` fails if the action or one of its dependencies imports one.
"""

TEST_EXTENSION = re.compile(r"_test\w*|_ctypes_test|_xxtestfuzz|xx(limited(_35)?|subtype)")
"""Extension modules of Python's own tests."""

COMMANDS = {
    "sh": "GitLab CI and Jenkins start it",
    "cat": "Jenkins keeps the container alive with it",
    "chmod": "scripts",
    "cp": "Jenkins copies its script",
    "date": "scripts",
    "env": "Jenkins passes the environment with it",
    "grep": "GitLab CI finds out with it what the shell can do",
    "head": "scripts",
    "id": "GitLab CI asks for the user",
    "ls": "scripts",
    "mkdir": "GitLab CI creates folders for its variables",
    "mv": "Jenkins writes the exit code to its place",
    "nohup": "Jenkins starts the script with it",
    "rm": "GitLab CI removes its variables",
    "sed": "scripts",
    "sleep": "Jenkins; and a container that waits for `docker exec`",
    "tail": "a container that waits for `docker exec`",
    "tee": "scripts",
    "touch": "Jenkins shows with it that the script runs",
    "tr": "scripts",
    "wc": "scripts",
}
"""The shell's commands, from the base and therefore pinned with it, and who needs each."""

LOADED_LATER = {
    "libgcc_s.so.1": "glibc loads it when a thread is cancelled, and aborts if it is missing",
}
"""Libraries that `ldd` cannot name, because a program loads them while it runs."""

FILES = {
    "/etc/group": "names of groups",
    "/etc/host.conf": "all addresses that /etc/hosts has for a name",
    "/etc/ld.so.conf": "where libraries are",
    "/etc/ld.so.conf.d": "where libraries are",
    "/etc/nsswitch.conf": "names from /etc/hosts first, then from the resolver",
    "/etc/os-release": "scanners ask it for the distribution",
    "/etc/passwd": "names of users",
    "/etc/services": "ports by name",
    "/etc/ssl/openssl.cnf": "the distribution's settings for TLS",
    "/usr/lib/locale/C.utf8": "the locale C.UTF-8, which is not built into glibc",
    "/usr/lib/ssl/openssl.cnf": "where OpenSSL looks for them",
    "/usr/share/zoneinfo": "the time zones that TZ may name",
}
"""Files and folders that are copied as they are. requests has its own public CAs."""

FOLDERS = {"/root": 0o700, "/tmp": 0o1777}  # noqa: S108 - the folder itself
"""Empty folders and their modes."""

STDLIB = Path(sysconfig.get_path("stdlib"))
_STATUS = Path("/var/lib/dpkg/status.d")
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


class Rootfs:
    """The folder that becomes the image's root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, path: Path) -> Path:
        """Return the place of this machine's path in the folder."""
        return self.root / path.relative_to("/")

    def link(self, link: Path) -> None:
        """Copy a symbolic link, without what it points to."""
        place = self.place(link)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(link.readlink())

    def add(self, path: Path) -> None:
        """Copy a file or folder to the same path, with every symbolic link on the way to it."""
        for part in [*reversed(path.parents), path]:
            if part.is_symlink():
                self.link(part)
                if not part.exists():  # as zoneinfo/localtime, if no time zone was chosen
                    return
                rest = path.relative_to(part)
                self.add(Path(os.path.normpath(part.parent / part.readlink() / rest)))
                return
        if path.is_dir():
            self.place(path).mkdir(parents=True, exist_ok=True)
            for each in path.iterdir():
                self.add(each)
        else:
            self.place(path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, self.place(path))

    def add_program(self, path: Path) -> None:
        """Copy a program or library, and every library that `ldd` names for it."""
        self.add(path)
        # A static program has no libraries, and `ldd` fails for it.
        done = subprocess.run(["ldd", path], check=False, capture_output=True, text=True)
        if "not found" in done.stdout:
            sys.exit(f"{path} lacks a library:\n{done.stdout}")
        for library in _LIBRARY.findall(done.stdout):
            self.add(Path(library))


def is_left_out(name: str) -> bool:
    """Return whether the image lacks the module or package of this name."""
    return name in LEFT_OUT or TEST_EXTENSION.fullmatch(name) is not None


def add_interpreter(rootfs: Rootfs) -> None:
    """Copy Python, its standard library as bytecode, and its extension modules."""
    for name in ("python", "python3"):
        rootfs.add_program(Path(sys.executable).parent / name)
    rootfs.add(STDLIB / "LICENSE.txt")
    sources = []
    for path in sorted(STDLIB.rglob("*")):
        first, *_ = path.relative_to(STDLIB).parts
        if first in ("site-packages", "__pycache__") or is_left_out(first.removesuffix(".py")):
            continue
        if path.suffix == ".py":
            sources.append(path)
        elif path.suffix == ".so" and not is_left_out(path.name.partition(".")[0]):
            rootfs.add_program(path)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_compile, rootfs), sources, chunksize=20))


def _compile(rootfs: Rootfs, source: Path) -> None:
    """Write the bytecode in the source's place, where Python imports it without a source."""
    place = rootfs.place(source).with_suffix(".pyc")
    place.parent.mkdir(parents=True, exist_ok=True)
    py_compile.compile(
        str(source),
        str(place),
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def add_system(rootfs: Rootfs) -> None:
    """Copy the shell, its commands, the files of the system, and the index of the libraries."""
    for link in ("/bin", "/lib", "/lib64", "/sbin"):
        if Path(link).is_symlink():
            rootfs.link(Path(link))
    for name in COMMANDS:
        rootfs.add_program(Path(_found(name)))
    known = subprocess.run(["ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    for name in LOADED_LATER:
        ((path),) = re.findall(rf"^\s*{re.escape(name)} .* => (\S+)$", known, re.MULTILINE)
        rootfs.add_program(Path(path))
    for name in FILES:
        rootfs.add(Path(name))
    for name, mode in FOLDERS.items():
        rootfs.place(Path(name)).mkdir(mode=mode)
        rootfs.place(Path(name)).chmod(mode)
    subprocess.run(["ldconfig", "-X", "-r", rootfs.root], check=True)


def _found(command: str) -> str:
    found = shutil.which(command)
    if not found:
        sys.exit(f"The base has no {command}")
    return found


def add_packages(rootfs: Rootfs) -> None:
    """Write down which package of the distribution each file is from, and copy the licences.

    Scanners read `status.d`, which has a file for each package and its files' MD5 sums.
    """
    paths = [
        Path("/") / place.relative_to(rootfs.root)
        for place in sorted(rootfs.root.rglob("*"))
        if place.is_file() and not place.is_symlink()
    ]
    system = [path for path in paths if path.parts[1:3] != ("usr", "local")]
    owners: dict[str, list[Path]] = {}
    for path, owner in _owners(system).items():
        owners.setdefault(owner, []).append(path)
    known = {path for owned in owners.values() for path in owned}
    # Scripts of packages wrote the rest of /etc.
    if unknown := [path for path in system if path not in known and path.parts[1] != "etc"]:
        sys.exit(f"No package has {unknown}")
    rootfs.place(_STATUS).mkdir(parents=True)
    for owner, owned in owners.items():
        name = owner.partition(":")[0]
        status = subprocess.run(
            ["dpkg-query", "--status", owner], check=True, capture_output=True, text=True
        )
        rootfs.place(_STATUS / name).write_text(status.stdout, encoding="utf-8")
        sums = "".join(f"{_md5(path)}  {path.relative_to('/')}\n" for path in owned)
        rootfs.place(_STATUS / f"{name}.md5sums").write_text(sums, encoding="utf-8")
        licence = Path("/usr/share/doc", name, "copyright")
        if licence.exists():
            rootfs.add(licence)


def _owners(paths: list[Path]) -> dict[Path, str]:
    """Return the package of each file, like libc6:amd64, if one has it.

    Some packages name a file by its path before /bin and /lib became links to /usr.
    """
    names = {name: path for path in paths for name in (str(path).removeprefix("/usr"), str(path))}
    done = subprocess.run(
        ["dpkg-query", "--search", *names], check=False, capture_output=True, text=True
    )
    found = (line.rpartition(": ") for line in done.stdout.splitlines())
    return {names[name]: owner for owner, _, name in found if name in names}


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def main(root: str) -> None:
    """Fill the folder."""
    rootfs = Rootfs(Path(root))
    add_interpreter(rootfs)
    add_system(rootfs)
    add_packages(rootfs)


if __name__ == "__main__":
    main(sys.argv[1])
