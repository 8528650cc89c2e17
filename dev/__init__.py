"""What a development machine stands in for: a real local Airflow, GitHub's runner, and the demo
that brings them together.
"""
