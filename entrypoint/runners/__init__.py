"""Read the context of the CI system, and write its log, outputs and job summary."""
