from typing import Any

class AirflowPlugin:
    name: str
    listeners: list[Any]
