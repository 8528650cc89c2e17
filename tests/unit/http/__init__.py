"""Unit tests of `http/`."""
