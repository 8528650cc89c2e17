"""Run an Airflow DAG for a commit, wait for its end, and pass only if it succeeded."""

import os
import warnings

__version__ = "0.1.0"

# Warnings of libraries would confuse users in the log. `requests` warns at every start that no
# package for guessing encodings is installed (Makefile, `lock`).
warnings.simplefilter("ignore")

# In the job's environment these variables may name files of the workspace, which a pull request can
# write: an OpenSSL configuration that loads native code, aliases of hosts, or a place for session
# keys and temporary files. Remove them before the first import of a module that needs OpenSSL,
# because OpenSSL reads them then.
for _name in (
    "OPENSSL_CONF",
    "OPENSSL_CONF_INCLUDE",
    "OPENSSL_MODULES",
    "OPENSSL_ENGINES",
    "CTLOG_FILE",
    "SSLKEYLOGFILE",
    "QLOGDIR",
    "HOSTALIASES",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "TMPDIR",
    "TEMP",
    "TMP",
):
    os.environ.pop(_name, None)
