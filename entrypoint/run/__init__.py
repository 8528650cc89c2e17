"""Decide: which DAG run, how to create, follow and stop it, and what its state means. Never
explains.
"""
