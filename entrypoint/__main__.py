"""Run the main stage as a process. Its exit code is that of the step.

The signal handlers are installed before the other imports, because a cancel may arrive while Python
is still starting.
"""

from __future__ import annotations

from entrypoint.signals import Interrupts

INTERRUPTS = Interrupts()
INTERRUPTS.install()

import sys  # noqa: E402 - see above

if __name__ == "__main__":
    from entrypoint.stages import main_stage

    sys.exit(main_stage(INTERRUPTS))
