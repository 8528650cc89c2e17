"""Unit tests of `diagnostics/`."""
