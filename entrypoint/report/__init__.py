"""Write what people and later steps read: the live log, the outputs, the annotations and the job
summary.

The sentences about a result are in `wording.py`; an error brings its own. It decides nothing and
sends nothing.
"""
