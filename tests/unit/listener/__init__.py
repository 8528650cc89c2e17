"""Unit tests of `listener/`."""
