"""Airflow DAG Run: run an Airflow DAG for this commit, wait for it, and let the workflow go on only if it succeeded."""

import warnings

__version__ = "0.1.0"

# A library's warning is for its developers, and would stand in a user's log: that of `requests`, at every start, that nothing
# is installed with which it could guess an encoding (Makefile, `lock`).
warnings.simplefilter("ignore")
