"""Logs: what may stand in them, whose lines they are, and how they are written.

`redact` takes secrets and control characters out of a text, `noted` has the lines of a block carry
fields, `configure_logging` writes lines by the settings of ``[logs]``.  Nothing is configured by
importing or using any of the others.
"""

from __future__ import annotations

from repocore.logs.context import (
    ContextFilter,
    Note,
    carried,
    current,
    enter,
    leave,
    noted,
    request_id,
)
from repocore.logs.lines import JsonFormatter, TextFormatter
from repocore.logs.redacting import HIDDEN, SECRET_NAMES, describe, hide, printable, redact
from repocore.logs.writing import ACCESS, configure_logging

__all__ = [
    "ACCESS",
    "HIDDEN",
    "SECRET_NAMES",
    "ContextFilter",
    "JsonFormatter",
    "Note",
    "TextFormatter",
    "carried",
    "configure_logging",
    "current",
    "describe",
    "enter",
    "hide",
    "leave",
    "noted",
    "printable",
    "redact",
    "request_id",
]
