"""HTTP: one exchange with one service, its limits, its response, TLS, and retries. Knows no API."""
