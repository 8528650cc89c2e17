from typing import Any

DagRun: Any
TaskInstance: Any
