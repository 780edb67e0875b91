"""From a `Response` to WSGI: who sends the bytes of a file, and which.

A front server sends them (``X-Accel-Redirect``, ``X-Sendfile``), or the storage (a redirect), or
we do.  Never with a Content-Encoding: clients would unpack what they are to compare.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import BinaryIO, Final
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.http import http_date

from repocore.config import WebSettings
from repocore.errors import StorageError
from repocore.http import FileContent, Response
from repocore_web.conditions import UNSATISFIABLE, is_unchanged, wanted_part
from repocore_web.exchanges import EXCHANGE, Exchange
from repocore_web.lingering import lingering

__all__ = ["REASONS", "Sender"]

REASONS: Final = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    302: "Found", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 411: "Length Required",
    412: "Precondition Failed", 413: "Content Too Large", 416: "Range Not Satisfiable",
    422: "Unprocessable Content", 429: "Too Many Requests", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 507: "Insufficient Storage",
}  # fmt: skip

#: A date as a header field has it; a file's is the same each time.
_date = lru_cache(maxsize=1024)(http_date)
_CHUNK: Final = 1 << 18
#: They have no body by themselves, and no length of one (RFC 9110 section 8.6).
_BODILESS: Final = frozenset({204, 304})
_REFUSAL: Final = 400
#: Bytes up to which a file is read at once.
SMALL = 1 << 16
_SHORT: Final = "The server has lost stored bytes; its administrator runs `repocore check`."
_WORD = re.compile(r"[A-Za-z0-9._+-]+\Z")
# What `quote` would leave as it is: the names of nearly all stored objects.
_HARMLESS = re.compile(r"[A-Za-z0-9._/-]+\Z")

_NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")
# Answers are for whoever asked, and a login's is a secret.
_UNSTORED: Final = ("Cache-Control", "no-store")
# What a browser is told of bytes that a stranger uploaded: nothing in them may run here.
_GUARDED: Final = ("Content-Security-Policy", "sandbox; default-src 'none'")
# Files may need credentials, and those may come in the URL, where a shared cache cannot see them;
# a file can be replaced or deleted, and reading forbidden, so each use is asked for: mostly a 304.
_ASKED: Final = ("Cache-Control", "private, no-cache")
_EMPTY: Final = ("Content-Length", "0")
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")

Headers = list[tuple[str, str]]


class Sender:
    """Writes responses by the settings of ``[web]``."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._prefix = settings.sendfile_prefix.rstrip("/")

    def send(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        response: Response,
        extra: Headers,
    ) -> Iterable[bytes]:
        """Start the response and return its body; a HEAD has the fields of its GET.

        What the response says in its header fields goes before what we would say.
        """
        body = response.body
        if isinstance(body, FileContent):
            status, headers, chunks = self._file(environ, body)
            if response.headers:
                own = {name.lower() for name, _ in response.headers}
                headers = [field for field in headers if field[0].lower() not in own]
            _start(start_response, status, [*response.headers, *headers, _NOSNIFF, *extra])
            return chunks
        headers = [*response.headers, _NOSNIFF, *extra]
        if not any(name.lower() == "cache-control" for name, _ in response.headers):
            headers.append(_UNSTORED)
        if isinstance(body, bytes):
            if response.status not in _BODILESS:
                headers.append(("Content-Length", str(len(body))))
            body = (body,)
        _start(start_response, response.status, headers)
        if environ["REQUEST_METHOD"] == "HEAD":
            _close(body)
            body = ()
        return lingering(environ, body) if response.status >= _REFUSAL else body

    def _file(
        self, environ: WSGIEnvironment, content: FileContent
    ) -> tuple[int, Headers, Iterable[bytes]]:
        file = content.file
        tag = f'"{file.digest}"'
        headers = [("ETag", tag), ("Last-Modified", _date(file.created_at)), _ASKED]
        # A document may be made twice within the second that a date can tell, so only its tag
        # says that it is the same: whoever sends a date alone gets it whole.
        dated = None if file.mutable and content.serial is not None else file.created_at
        if is_unchanged(environ, tag, dated):
            return 304, headers, ()
        elsewhere = self._elsewhere(environ, content)
        if elsewhere is not None and elsewhere[0] != 200:  # noqa: PLR2004 - sent by a front server
            return elsewhere[0], [elsewhere[1], _ASKED, _TEXT, _EMPTY], ()
        headers += [
            ("Content-Type", file.media_type),
            ("Content-Disposition", _disposition(file.path.name)),
            ("Accept-Ranges", "bytes"),
            _GUARDED,
        ]
        if elsewhere is not None:
            return 200, [*headers, elsewhere[1], _EMPTY], ()
        part = wanted_part(environ, tag, file.size)
        if part == UNSATISFIABLE:
            return _unsatisfiable(environ, file.size)
        status, (start, stop) = (200, (0, file.size)) if part is None else (206, part)
        if part is not None:
            headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{file.size}"))
        headers.append(("Content-Length", str(stop - start)))
        if environ["REQUEST_METHOD"] == "HEAD":
            return status, headers, ()
        return status, headers, _bytes(environ, content, start, stop)

    def _elsewhere(
        self, environ: WSGIEnvironment, content: FileContent
    ) -> tuple[int, tuple[str, str]] | None:
        """The field that has somebody else send the file: a front server, or the storage."""
        settings = self._settings
        if settings.sendfile is not None and content.location is not None:
            name = "X-Accel-Redirect" if settings.sendfile == "x-accel" else "X-Sendfile"
            if environ["REQUEST_METHOD"] == "GET":
                content.served()
            where = content.location
            if not _HARMLESS.match(where):
                where = quote(where)
            where = f"{self._prefix}/{where}"
            return 200, (name, where)
        # A storage's URL is signed for one method, and that is GET.
        if settings.redirect and environ["REQUEST_METHOD"] == "GET":
            url = content.url(settings.redirect_lifetime)
            if url is not None:
                content.served()
                return 302, ("Location", url)
        return None


def _unsatisfiable(environ: WSGIEnvironment, size: int) -> tuple[int, Headers, Iterable[bytes]]:
    sentence = f"The file has {size} bytes, and none of them is in the range asked for.\n".encode()
    length = ("Content-Length", str(len(sentence)))
    headers = [("Content-Range", f"bytes */{size}"), _ASKED, _TEXT, length]
    return 416, headers, () if environ["REQUEST_METHOD"] == "HEAD" else (sentence,)


def _bytes(
    environ: WSGIEnvironment, content: FileContent, start: int, stop: int
) -> Iterable[bytes]:
    """A part of a file; opened at once, so that what is missing does not begin as a 200.

    The server's file wrapper is given files that end where the part does: PEP 3333 has it stop
    after Content-Length bytes, but not all of them do.
    """
    size = content.file.size
    stream = content.open(start, None if stop == size else stop)
    if start == 0:
        content.served()
    if stop - start <= SMALL:
        # To hand over a file takes longer than to read one that is small.
        with stream:
            return (_whole(stream, stop - start),)
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None or stop != size or not _is_regular(stream, size):
        return _Chunks(stream, stop - start)
    exchange: Exchange | None = environ.get(EXCHANGE)
    return wrapper(stream if exchange is None else exchange.hand_over(stream), _CHUNK)


def _whole(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    while len(content) < size:  # a raw stream may give less than it was asked for
        more = stream.read(size - len(content))
        if not more:
            raise StorageError(_SHORT)
        content += more
    return content


def _is_regular(stream: BinaryIO, size: int) -> bool:
    try:
        # A server that is promised more bytes than there are would wait, and its client with it.
        return os.fstat(stream.fileno()).st_size == size
    except (AttributeError, io.UnsupportedOperation):
        return False


class _Chunks:
    """A stream as chunks; closed by the server, whatever happens to the client."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            chunk = self._stream.read(min(_CHUNK, self._left))
            if not chunk:
                # The length was announced: only a broken connection tells the client now.
                raise StorageError(_SHORT)
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Close the stream (PEP 3333)."""
        self._stream.close()


def _disposition(name: str) -> str:
    if _WORD.match(name):
        return f"attachment; filename={name}"
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"  # RFC 6266, RFC 8187


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _start(start_response: StartResponse, status: int, headers: Headers) -> None:
    start_response(f"{status} {REASONS.get(status, 'Unknown')}", headers)
