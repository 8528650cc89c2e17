from collections.abc import Mapping, MutableMapping
from typing import Any

class AWSRequest:
    headers: MutableMapping[str, str]
    context: dict[str, Any]
    def __init__(
        self, method: str, url: str, headers: Mapping[str, str] = ..., data: bytes = ...
    ) -> None: ...
