"""The one normal form of a path in a repository.

Names are data: no path of the disk is ever made from one.  Still every path has exactly one
spelling, because two spellings of one thing are how caches are poisoned and rules are passed by.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Self

import attrs

from repocore.errors import InvalidPathError

__all__ = ["MAX_PATH", "MAX_SEGMENT", "FilePath", "check_segment"]

#: Bytes of UTF-8 in one segment, and in a whole path.
MAX_SEGMENT: Final = 255
MAX_PATH: Final = 1024

# Most names, and most paths: one look is enough.  No segment of them ends in a dot, so none is a
# dot name.
_NAME: Final = r"[A-Za-z0-9_.+=~-]*[A-Za-z0-9_+=~-]"
_PLAIN = re.compile(rf"{_NAME}\Z")
_PLAIN_PATH = re.compile(rf"{_NAME}(?:/{_NAME})*\Z")
_HIDDEN_SEPARATOR = re.compile(r"%(?:2[ef]|5c|00|25)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


def check_segment(segment: str) -> str:
    """Return the segment if it is one normal name; raise `InvalidPathError` otherwise.

    Refused: empty, ``.`` and ``..`` in any spelling that Unicode or percent-encoding can give
    them, separators, control and format characters (NUL, line ends, text-direction marks), a
    trailing dot or space, a drive letter, more than 255 bytes.
    """
    if len(segment) <= MAX_SEGMENT and _PLAIN.match(segment):
        return segment
    reason = _why_not(segment)
    if reason:
        message = f"The path has a segment that {reason}."
        raise InvalidPathError(message)
    return segment


def _why_not(segment: str) -> str | None:
    if not segment:
        return "is empty"
    try:
        encoded = segment.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    folded = unicodedata.normalize("NFKC", segment)
    checks = {
        "is longer than 255 bytes": len(encoded) > MAX_SEGMENT,
        "is a dot name": folded.strip() in {".", ".."} or not folded.strip(),
        "holds a separator": any(mark in folded for mark in "/\\"),
        "holds an encoded separator": bool(_HIDDEN_SEPARATOR.search(folded)),
        "holds a control character": any(unicodedata.category(c)[0] == "C" for c in segment),
        "holds a line separator": any(unicodedata.category(c) in {"Zl", "Zp"} for c in segment),
        "ends in a dot or space": folded[-1] in ". ",
        "starts with a drive letter": bool(_DRIVE.match(folded)),
    }
    return next((reason for reason, wrong in checks.items() if wrong), None)


@attrs.frozen(order=True)
class FilePath:
    """A path in a repository: normal segments, joined by ``/`` when printed.

    ``FilePath.parse(str(path)) == path`` for every path; nothing else parses to it.
    """

    parts: tuple[str, ...]

    def __attrs_post_init__(self) -> None:
        if not self.parts:
            message = "The path is empty."
            raise InvalidPathError(message)
        text = "/".join(self.parts)
        plain = len(text) <= MAX_SEGMENT and _PLAIN_PATH.match(text)
        if plain and text.count("/") == len(self.parts) - 1:
            return
        for part in self.parts:
            check_segment(part)
        if len(text.encode()) > MAX_PATH:
            message = f"The path is longer than {MAX_PATH} bytes."
            raise InvalidPathError(message)

    @classmethod
    def parse(cls, text: str | FilePath) -> Self:
        """Read a path; raises `InvalidPathError` for anything that is not already normal."""
        if isinstance(text, cls):
            return text
        return cls(tuple(str(text).split("/")))

    @property
    def name(self) -> str:
        """The last segment."""
        return self.parts[-1]

    def __str__(self) -> str:
        return "/".join(self.parts)
