"""Unit tests, one file per module of `entrypoint/`: no socket, no process, a virtual clock."""
