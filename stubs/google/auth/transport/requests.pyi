import requests

class Request:
    def __init__(self, session: requests.Session) -> None: ...
