"""Conditions and ranges of RFC 9110, sections 13 and 14.

Werkzeug's parsers are not used for tags and ranges: its suffix range longer than the file is
refused instead of being the whole file, and a list of a thousand ranges is parsed for nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from wsgiref.types import WSGIEnvironment

from werkzeug.http import parse_date

__all__ = ["UNSATISFIABLE", "is_unchanged", "wanted_part"]

#: The part of a range that lies outside of the file.
UNSATISFIABLE: Final = (0, 0)

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})\Z", re.IGNORECASE)
_DATE_LENGTH: Final = 64


def is_unchanged(environ: WSGIEnvironment, tag: str, modified: datetime | None) -> bool:
    """Whether the client has it already: ``If-None-Match``, else ``If-Modified-Since``.

    With ``modified`` None, no date says so.
    """
    tags: str | None = environ.get("HTTP_IF_NONE_MATCH")
    if tags is not None:
        # Weak comparison (section 8.8.3.2).  Our tag has no comma, so none that has is ours.
        listed = (item.strip().removeprefix("W/") for item in tags.split(","))
        return tags.strip() == "*" or tag in listed
    if modified is None:
        return False
    since = _date(environ.get("HTTP_IF_MODIFIED_SINCE"))
    return since is not None and modified.astimezone(UTC).replace(microsecond=0) <= since


def wanted_part(environ: WSGIEnvironment, tag: str, size: int) -> tuple[int, int] | None:
    """The bytes that are asked for: start and stop (exclusive), or `UNSATISFIABLE`.

    None is the whole: there is no range, it cannot be read, it is for another method than GET
    (section 14.2), there are several (which 14.2 lets us ignore), or ``If-Range`` does not hold.
    """
    asked: str | None = environ.get("HTTP_RANGE")
    if asked is None or environ["REQUEST_METHOD"] != "GET":
        return None
    found = _RANGE.match(asked)
    if found is None or found.groups() == ("", "") or not _holds(environ, tag):
        return None
    first, last = found.groups()
    if first == "":
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None  # no range at all (section 14.1.1)
    return (start, stop) if start < stop else UNSATISFIABLE


def _holds(environ: WSGIEnvironment, tag: str) -> bool:
    # Section 13.1.5: only a strong validator.  A date is not: a file can be replaced twice within
    # its second.
    condition: str | None = environ.get("HTTP_IF_RANGE")
    return condition is None or condition.strip() == tag


def _date(text: str | None) -> datetime | None:
    if text is None or len(text) > _DATE_LENGTH:
        return None
    try:
        return parse_date(text)
    except OverflowError:
        return None
