"""Send HTTP requests: client, limits, response parsing, TLS and retries.

This package knows no API.
"""
