"""Start the action. In airflow-dag-run.pyz this module is `__main__`.

Python compiles it at each start, so it is short, and it must be valid for every Python 3.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "ERROR: airflow-dag-run.pyz needs Python 3.11 or later, and this is %d.%d."
        % sys.version_info[:2]
    )

import os

ARCHIVE = os.path.dirname(os.path.abspath(__file__))


def is_standard(path):
    """Return whether a folder of `sys.path` belongs to the standard library.

    All others are left out: PYTHONPATH, packages that are installed beside this Python, and the
    folders that their .pth files name. With them, the action would not be the tested one.
    """
    library = os.path.dirname(os.__file__)
    windows = [sys.base_prefix, os.path.join(sys.base_prefix, "DLLs")] if os.name == "nt" else []
    archive = "python%d%d.zip" % sys.version_info[:2]
    return path in [library, *windows] or os.path.basename(path) in ("lib-dynload", archive)


sys.path[:] = [
    os.path.join(ARCHIVE, sys.implementation.cache_tag or "none"),
    os.path.join(ARCHIVE, "sources"),
    *filter(is_standard, sys.path),
]

# With these variables OpenSSL would trust the CAs in a file that a pull request can write.
for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
    os.environ.pop(name, None)

from entrypoint.signals import Interrupts

INTERRUPTS = Interrupts()
INTERRUPTS.install()


def read_about():
    """Return what the file says about itself."""
    import json

    return json.loads(__loader__.get_data(os.path.join(ARCHIVE, "about.json")))


if __name__ == "__main__":
    from entrypoint.command_line import run

    sys.exit(run(sys.argv[1:], INTERRUPTS, read_about))
