"""Airflow DAG Run: run an Airflow DAG for this commit, wait for it, and let the workflow go on only
if it succeeded.
"""

import os
import warnings

__version__ = "0.1.0"

# A library's warning is for its developers, and would stand in a user's log: that of `requests`, at
# every start, that nothing is installed with which it could guess an encoding (Makefile, `lock`).
warnings.simplefilter("ignore")

# The job's environment names files of the workspace, which anybody's pull request may have written:
# a configuration with which OpenSSL loads native code, other names for hosts; and places to write
# to: session keys, a client's key. Dropped here, since OpenSSL reads them when the first module
# that needs it is imported.
for _name in (
    *(
        "OPENSSL_CONF",
        "OPENSSL_CONF_INCLUDE",
        "OPENSSL_MODULES",
        "OPENSSL_ENGINES",
        "CTLOG_FILE",
        "SSLKEYLOGFILE",
        "QLOGDIR",
    ),
    *("HOSTALIASES", "GCONV_PATH", "LOCPATH", "NLSPATH", "TMPDIR", "TEMP", "TMP"),
):
    os.environ.pop(_name, None)
