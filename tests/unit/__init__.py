"""One file per module of entrypoint/: no socket, no process, a clock that the test turns."""
