"""Logs of a server: no line of them holds a secret or a control character."""

from __future__ import annotations

import logging
import sys
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from repocore_web.logs import redact

__all__ = ["Logger", "log_warnings"]


class _Redacting(logging.Formatter):
    """Redacts what it has formatted, tracebacks too, line by line."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(redact(line) for line in super().format(record).split("\n"))


def log_warnings() -> None:
    """Write warnings of this process and of those that it forks to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class Logger(GunicornLogger):
    """Writes what gunicorn would, redacted."""

    def setup(self, cfg: Any) -> None:
        """Take over its handlers."""
        super().setup(cfg)
        loggers: list[logging.Logger] = [self.error_log, self.access_log]
        for handler in (handler for logger in loggers for handler in logger.handlers):
            pattern: Any = getattr(handler.formatter, "_fmt", None)
            handler.setFormatter(_Redacting(pattern, self.datefmt))

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> Any:
        """The parts of an access line."""
        parts: Any = super().atoms(resp, req, environ, request_time)
        return {
            name: redact(value) if isinstance(value, str) else value
            for name, value in parts.items()
        }
