"""Unit tests of `run/`."""
