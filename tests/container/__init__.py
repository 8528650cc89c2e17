"""Tests of the image, started as GitHub's runner starts it."""
