"""Tests of both sides of a contract: imitations against the real thing, declarations against the
code.
"""
