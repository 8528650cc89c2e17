"""Tests of the image, run exactly as the runner runs it."""
