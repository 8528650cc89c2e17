"""Make airflow-dag-run.pyz: the action and its dependencies in one file, for machines with Python.

`build.py` makes the file from the other modules of this folder, which are its own parts.
"""
