"""From a `Response` to WSGI: validators, ranges, and who sends the bytes of a file.

Rules of RFC 9110: section 8.8 (validators), 13 (conditions, `If-None-Match` before
`If-Modified-Since`), 14 (ranges; of several we answer the whole, as 14.2 allows).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO, Final
from wsgiref.types import StartResponse, WSGIEnvironment

import attrs
from werkzeug.http import http_date, parse_date, quote_header_value

from repocore.config import WebSettings
from repocore.http import FileContent, Response

__all__ = ["REASONS", "Sender"]

REASONS: Final = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    302: "Found", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 411: "Length Required",
    412: "Precondition Failed", 413: "Content Too Large", 416: "Range Not Satisfiable",
    422: "Unprocessable Content", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 507: "Insufficient Storage",
}  # fmt: skip

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*\Z", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?"[^"]*"')
_CHUNK: Final = 1 << 18

#: What a browser is told of bytes that a stranger uploaded: nothing in them may run here.
_GUARDED: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
)

Headers = list[tuple[str, str]]


@attrs.frozen
class _Part:
    """Bytes ``start`` to ``stop`` (exclusive)."""

    start: int
    stop: int


class Sender:
    """Writes responses by the settings of ``[web]``."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings

    def send(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        response: Response,
        extra: Headers,
    ) -> Iterable[bytes]:
        """Start the response and return its body."""
        body = response.body
        if isinstance(body, FileContent):
            return self._file(environ, start_response, body, [*response.headers, *extra])
        headers = [*response.headers, ("X-Content-Type-Options", "nosniff"), *extra]
        if not isinstance(body, bytes):
            _start(start_response, response.status, headers)
            return () if environ["REQUEST_METHOD"] == "HEAD" else body
        headers.append(("Content-Length", str(len(body))))
        _start(start_response, response.status, headers)
        return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)

    def _file(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        content: FileContent,
        headers: Headers,
    ) -> Iterable[bytes]:
        file = content.file
        tag = f'"{file.digest}"'
        modified = file.created_at.astimezone(UTC).replace(microsecond=0)
        headers += [
            ("ETag", tag),
            ("Last-Modified", http_date(modified)),
            ("Accept-Ranges", "bytes"),
            # What needs credentials is for its reader alone; all of it can change or be deleted.
            ("Cache-Control", "private, no-cache"),
        ]
        if _unchanged(environ, tag, modified):
            _start(start_response, 304, headers)
            return ()
        name = quote_header_value(file.path.name.encode("ascii", "replace").decode())
        headers += [
            ("Content-Type", file.media_type),
            ("Content-Disposition", f"attachment; filename={name}"),
            *_GUARDED,
        ]
        head = environ["REQUEST_METHOD"] == "HEAD"
        elsewhere = None if head else self._elsewhere(content)
        if elsewhere is not None:
            status, field = elsewhere
            _start(start_response, status, [*headers, field])
            return ()
        part = None if head else _part(environ, tag, modified, file.size)
        if part is None:
            return _whole(environ, start_response, content, headers)
        if part.start >= part.stop:
            fields = [("Content-Range", f"bytes */{file.size}"), ("Content-Length", "0")]
            _start(start_response, 416, [*headers, *fields])
            return ()
        headers += [
            ("Content-Range", f"bytes {part.start}-{part.stop - 1}/{file.size}"),
            ("Content-Length", str(part.stop - part.start)),
        ]
        stream = content.open(part.start, part.stop)
        _start(start_response, 206, headers)
        return _Chunks(stream, part.stop - part.start)

    def _elsewhere(self, content: FileContent) -> tuple[int, tuple[str, str]] | None:
        """The field that has somebody else send the file: a front server, or the storage."""
        settings = self._settings
        if settings.sendfile is not None and content.location is not None:
            name = "X-Accel-Redirect" if settings.sendfile == "x-accel" else "X-Sendfile"
            return 200, (name, settings.sendfile_prefix + content.location)
        if settings.redirect:
            url = content.url(settings.redirect_lifetime)
            if url is not None:
                return 302, ("Location", url)
        return None


def _whole(
    environ: WSGIEnvironment, start_response: StartResponse, content: FileContent, headers: Headers
) -> Iterable[bytes]:
    headers.append(("Content-Length", str(content.file.size)))
    if environ["REQUEST_METHOD"] == "HEAD":
        _start(start_response, 200, headers)
        return ()
    # Opened first: what is missing in the storage must not begin as a 200.
    stream = content.open(0, None)
    _start(start_response, 200, headers)
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is not None and hasattr(stream, "fileno"):
        return wrapper(stream, _CHUNK)
    return _Chunks(stream, content.file.size)


class _Chunks:
    """A stream as chunks; closed by the server, whatever happens to the client."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def __iter__(self) -> Iterator[bytes]:
        while self._left and (chunk := self._stream.read(min(_CHUNK, self._left))):
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Close the stream (PEP 3333)."""
        self._stream.close()


def _start(start_response: StartResponse, status: int, headers: Headers) -> None:
    start_response(f"{status} {REASONS.get(status, 'Unknown')}", headers)


def _unchanged(environ: WSGIEnvironment, tag: str, modified: datetime) -> bool:
    tags: str | None = environ.get("HTTP_IF_NONE_MATCH")
    if tags is not None:
        # Weak comparison (section 8.8.3.2): our tags are strong, the client's may be either.
        sent = {found.removeprefix("W/") for found in _TAG.findall(tags)}
        return tags.strip() == "*" or tag in sent
    since = parse_date(environ.get("HTTP_IF_MODIFIED_SINCE"))
    return since is not None and modified <= since


def _part(environ: WSGIEnvironment, tag: str, modified: datetime, size: int) -> _Part | None:
    """The range that is asked for; None for the whole; an empty one cannot be satisfied."""
    match = _RANGE.match(environ.get("HTTP_RANGE", ""))
    if match is None or match.groups() == ("", "") or not _still(environ, tag, modified):
        return None
    first, last = match.groups()
    if first == "":
        length = min(int(last), size)
        return _Part(size - length, size)
    start = int(first)
    stop = size if last == "" else min(int(last) + 1, size)
    if last != "" and int(last) < start:
        return None  # no range at all (section 14.1.1), so the field is ignored
    return _Part(start, stop)


def _still(environ: WSGIEnvironment, tag: str, modified: datetime) -> bool:
    """Section 13.1.5: a range only of what the client has the beginning of."""
    condition: str | None = environ.get("HTTP_IF_RANGE")
    if condition is None:
        return True
    if condition.lstrip().startswith(('"', "W/")):
        return condition.strip() == tag
    return parse_date(condition) == modified
