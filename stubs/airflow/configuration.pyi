class AirflowConfigParser:
    def get(self, section: str, key: str, *, fallback: str) -> str | None: ...

conf: AirflowConfigParser
