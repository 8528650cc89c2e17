from typing import Any

class Connection:
    host: str | None
    login: str | None
    password: str | None
    extra_dejson: dict[str, Any]
    @classmethod
    def get_connection_from_secrets(cls, conn_id: str) -> Connection: ...
