"""Unit tests of `report/`."""
