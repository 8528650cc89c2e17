"""Unit tests of `auth/`."""
