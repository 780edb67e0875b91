"""What may be written to a log: no secret, and nothing that moves a terminal or forges a line."""

from __future__ import annotations

import logging
import re
import traceback
from typing import Final

__all__ = ["LOG", "describe", "printable", "redact"]

LOG: Final = logging.getLogger("repocore.web")

_HIDDEN: Final = "***"
# A token in a path, whichever way its "t" is spelled; one in a query; one in a header; one of ours.
_SECRETS = re.compile(
    r"""
    (?P<path>/(?:t|%74)/)[^/\s?"']+
    | (?P<query>[?&](?:signature|token|access_token|password|code|state)=)[^&\s"']+
    | (?P<header>\bauthorization\s*[:=]\s*["']?(?:(?:basic|bearer|token)\s+)?)[^\s"',]+
    | (?P<scheme>\b(?:basic|bearer)\s+)[A-Za-z0-9._~+/=-]{8,}
    | (?P<token>\brpc-)[A-Za-z0-9-]+
    """,
    re.IGNORECASE | re.VERBOSE,
)


def redact(text: str) -> str:
    """The text with every token replaced by ``***`` and every control character escaped.

    It is for URLs, header lines and messages on their way into a log; idempotent.
    """
    hidden = _SECRETS.sub(lambda found: f"{found[found.lastgroup or 0]}{_HIDDEN}", text)
    return printable(hidden)


def printable(text: str) -> str:
    """The text in one line: what is neither printable nor a space becomes its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def describe(error: BaseException) -> str:
    """The traceback with a margin before each line, so that no message forges a line of the log."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(f"  | {redact(line)}" for line in lines)
