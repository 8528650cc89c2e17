"""Unit tests of `dev/`."""
