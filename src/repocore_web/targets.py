"""The target of a request: which segments its path has, in the one spelling that we take.

The server's PATH_INFO says where the request goes, below wherever we are mounted.  It is decoded,
though, and some servers have tidied it up; so the raw target, where the server gives it, has to be
spelled normally too.  An encoded slash, ``..``, ``//`` and their like are refused before anything
is looked up (threats: two spellings of one thing poison caches and slip past rules).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment

import attrs

from repocore.errors import InvalidPathError
from repocore.model import check_segment

__all__ = ["Target", "below", "read_target"]

# Nearly every path: each segment is one that `check_segment` takes at its first look.
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_.+=~-]*[A-Za-z0-9_+=~-])+\Z")
_PLAIN_LENGTH: Final = 255
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# The root, and what clients of quetz's API end with a slash; without one it means the same.
_MAY_END_IN_A_SLASH = re.compile(
    r"(?:/t/[^/]+)?/"
    r"(?:api/(?:channels/[^/]+(?:/packages/[^/]+)?/files|(?:channels|packages)/search)/)?\Z"
)
_TOKEN: Final = "t"  # noqa: S105 - the reserved segment before a token


@attrs.frozen
class Target:
    """Where a request goes: decoded segments, the token that stood before them, the host of an
    absolute target (RFC 9112 section 3.2.2).
    """

    segments: tuple[str, ...]
    token: str | None = attrs.field(repr=False)
    authority: str | None


def below(environ: WSGIEnvironment, prefix: str) -> WSGIEnvironment | None:
    """The environ as an application sees it that is mounted at a prefix; None for other paths.

    The prefix starts with a slash and does not end in one (PEP 3333: SCRIPT_NAME).
    """
    # PEP 3333: the environ holds bytes in the guise of latin-1.
    above = prefix.encode().decode("latin-1")
    path: str = environ.get("PATH_INFO", "")
    if path != above and not path.startswith(f"{above}/"):
        return None
    script: str = environ.get("SCRIPT_NAME", "")
    return {**environ, "SCRIPT_NAME": script + above, "PATH_INFO": path.removeprefix(above)}


def read_target(environ: WSGIEnvironment) -> Target:
    """Read the target; raises `InvalidPathError` for a path that is not in its normal form.

    ``/t/<token>`` in front is taken off.  A slash at the end is an empty segment, except at the
    root and at few addresses that clients end with one.
    """
    info: str = environ.get("PATH_INFO", "")
    raw: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    path, authority = (info, None) if raw is None else _split(raw)
    if info.endswith("/") and _MAY_END_IN_A_SLASH.match(info):
        info, path = info[:-1], path.removesuffix("/")
    # Alike, they are checked together below, unless escapes were left as they are.
    if raw is not None and path and (path != info or "%" in path or "#" in path):
        _check_raw(path)
    if not info:
        return Target((), None, authority)
    segments = _segments(info)
    if len(segments) > 1 and segments[0] == _TOKEN:
        return Target(segments[2:], segments[1], authority)
    return Target(segments, None, authority)


def _split(raw: str) -> tuple[str, str | None]:
    path = raw.partition("?")[0]
    if path.startswith("/"):
        return path, None
    absolute = _ABSOLUTE.match(path)
    if not absolute:
        message = "The request's target is not a path."
        raise InvalidPathError(message)
    return path[absolute.end() :] or "/", absolute[1]


def _segments(info: str) -> tuple[str, ...]:
    if len(info) <= _PLAIN_LENGTH and _PLAIN.match(info):
        return tuple(info[1:].split("/"))
    if not info.startswith("/"):
        message = "The path does not begin with a slash."
        raise InvalidPathError(message)
    return tuple(_check(_text(segment)) for segment in info[1:].split("/"))


def _check_raw(path: str) -> None:
    if len(path) <= _PLAIN_LENGTH and _PLAIN.match(path):
        return
    if "#" in path:
        message = "The path has a # in it; write it %23."
        raise InvalidPathError(message)
    for segment in path[1:].split("/"):
        _check(_decode(segment))


def _check(segment: str) -> str:
    if not segment:
        message = "The path has an empty segment: leave out doubled slashes, and one at its end."
        raise InvalidPathError(message)
    if segment.startswith((".;", "..;")):
        # Servers that know path parameters take them off and are left with a dot name.
        message = "The path has a segment that is a dot name."
        raise InvalidPathError(message)
    return check_segment(segment)


def _decode(segment: str) -> str:
    if "%" not in segment:
        return _text(segment)
    if _BROKEN_ESCAPE.search(segment):
        message = "The path has a % without two hexadecimal digits; write it %25."
        raise InvalidPathError(message)
    # A "+" stays a "+": only forms and queries mean a space by it, and packages are called gtk+.
    return _text(unquote_to_bytes(segment.encode("latin-1", "replace")).decode("latin-1"))


def _text(segment: str) -> str:
    # PEP 3333: the environ holds bytes in the guise of latin-1.
    if segment.isascii():
        return segment
    try:
        return segment.encode("latin-1").decode()
    except UnicodeError as error:
        message = "The path is not UTF-8."
        raise InvalidPathError(message) from error
