"""Turn each kind of credential into an `Authorization`, which adds a header and renews it.

This package knows neither DAGs nor runs.
"""
