"""Unit tests of `runners/`."""
