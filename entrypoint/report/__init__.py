"""Write the live log, the outputs, the annotations and the job summary.

`wording.py` has the sentences about a result; an error brings its own. This package decides nothing
and sends no request.
"""
