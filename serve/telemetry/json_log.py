"""Log of one JSON line for each event, on standard output: requests, and administration."""

from typing import Any

import structlog


def json_log() -> Any:
    """Return a logger that prints one JSON line for each event."""
    processors: list[Any] = [
        structlog.processors.TimeStamper("iso"),
        structlog.processors.JSONRenderer(),
    ]
    return structlog.wrap_logger(structlog.PrintLogger(), processors=processors)
