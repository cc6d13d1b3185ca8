"""Structured logs: one JSON object a line on stderr, named as Cloud Logging reads them."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import msgspec


class JsonFormatter(logging.Formatter):
    """``{"time":…,"severity":…,"logger":…,"message":…}`` plus the ``extra`` fields and a traceback, if any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure_logs() -> None:
    """Send this process's logs to stderr. What a client does wrong is counted, not logged."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
