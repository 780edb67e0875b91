"""Where lines go: handlers for a program that serves, or for an application that embeds us."""

from __future__ import annotations

import logging
import sys
from typing import Final, TextIO

from repocore.config import LogSettings
from repocore.logs.context import ContextFilter
from repocore.logs.lines import JsonFormatter, TextFormatter

__all__ = ["ACCESS", "configure_logging"]

#: The logger of requests: one line each.
ACCESS: Final = "repocore.access"


class _Handler(logging.StreamHandler[TextIO]):
    """One of ours; what it cannot write is lost, and not shown as it was."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing: logging would write the arguments of the message to stderr."""


def configure_logging(settings: LogSettings, *, everything: bool = False) -> None:
    """Write what we log to stderr by the settings of ``[logs]``, and lines of requests to stdout.

    It is for whoever runs the process: nothing else of ours touches `logging`.  Only our own
    loggers are configured (``repocore``), unless ``everything`` is to look alike.  Idempotent; a
    second call has other settings hold.
    """
    top = logging.getLogger() if everything else logging.getLogger("repocore")
    access = logging.getLogger(ACCESS)
    _write_to(top, sys.stderr, settings)
    _write_to(access, sys.stdout, settings)
    top.setLevel(settings.level.upper())
    access.setLevel(logging.INFO)
    access.propagate = False
    if not everything:
        top.propagate = False


def _write_to(logger: logging.Logger, stream: TextIO, settings: LogSettings) -> None:
    for handler in [one for one in logger.handlers if isinstance(one, _Handler)]:
        logger.removeHandler(handler)
    handler = _Handler(stream)
    handler.addFilter(ContextFilter())
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    logger.addHandler(handler)
