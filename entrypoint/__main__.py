"""The main stage's process: environment in, exit code out. Nothing below reads the environment or exits.

Signal handlers come first, before anything heavy is imported: a cancel may arrive while Python is still starting.
"""

from __future__ import annotations

from entrypoint.interrupt import Interrupts

INTERRUPTS = Interrupts()
INTERRUPTS.install()

import sys  # noqa: E402 - see above

if __name__ == "__main__":
    from entrypoint.stages import main_stage

    sys.exit(main_stage(INTERRUPTS))
