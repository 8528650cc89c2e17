"""Run the main stage, and exit with the exit code of the step.

This module installs the signal handlers before the other imports, because a cancel may arrive while
Python is still starting.
"""

from __future__ import annotations

from entrypoint.signals import Interrupts

INTERRUPTS = Interrupts()
INTERRUPTS.install()

import sys  # noqa: E402 - after the signal handlers

if __name__ == "__main__":
    from entrypoint.stages import main_stage

    sys.exit(main_stage(INTERRUPTS))
