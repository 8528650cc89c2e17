"""Contract tests: imitations against the real systems, declarations against the code."""
