"""The tests; README.md says what belongs where."""
