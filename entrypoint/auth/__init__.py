"""Credentials: each kind becomes an `Authorization` that adds a header and renews it. Knows no
DAG.
"""
