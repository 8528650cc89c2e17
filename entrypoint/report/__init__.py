"""What people and later steps read: the live log, the outputs, the verdict annotation and the job summary.

The only room that makes prose. It decides nothing and asks Airflow nothing.
"""
