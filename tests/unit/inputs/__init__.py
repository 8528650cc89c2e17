"""Unit tests of `inputs/`."""
