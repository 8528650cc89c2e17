"""The CI system that runs the step: its context, and how to write to its log, outputs and
summary.
"""
