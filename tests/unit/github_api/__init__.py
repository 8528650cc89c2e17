"""Unit tests of `github_api/`."""
