"""The body of a request, read from its connection as far as it reaches and no further.

Nothing is read before somebody asks: a request that is refused is answered before its body.  What
becomes of that rest is the server's matter, since a WSGI application may not set Connection
(PEP 3333); where the server would close on a client that is still sending, `lingering` reads on.
"""

from __future__ import annotations

import re
from typing import Final
from wsgiref.types import InputStream, WSGIEnvironment

from repocore.errors import InvalidPathError, LengthRequiredError, TooLargeError, TruncatedError

__all__ = ["Body", "body_length"]

# int() takes signs, spaces and underscores, which are ways to smuggle; RFC 9110 section 8.6 none.
_LENGTH = re.compile(r"[0-9]{1,19}\Z")
_PIECE: Final = 1 << 20


def body_length(environ: WSGIEnvironment) -> int | None:
    """The announced length, None where there is none.

    Raises `InvalidPathError` (400) for one that is no number, and where a length and a transfer
    coding contradict each other (RFC 9112 section 6.3: an attempt to smuggle a request).
    """
    text: str = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if not _LENGTH.match(text):
        message = "The Content-Length is not a number."
        raise InvalidPathError(message)
    if environ.get("HTTP_TRANSFER_ENCODING"):
        message = "Send either a Content-Length or a Transfer-Encoding, not both."
        raise InvalidPathError(message)
    return int(text)


class Body:
    """A readable that ends where the request ends; `repocore.http.Request` says what it raises."""

    def __init__(self, environ: WSGIEnvironment, length: int | None, limit: int) -> None:
        self._environ = environ
        self._length = length
        self._limit = limit
        self._count = 0
        self._stream: InputStream | None = None
        self._ended = False

    @property
    def count(self) -> int:
        """How many bytes were read of it."""
        return self._count

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, all that are left for a negative one; ``b""`` at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        if self._stream is None:
            self._stream = self._open()
        if self._ended or not size:
            return b""
        if self._length is None:
            return self._read_chunked(self._stream, size)
        return self._read_counted(self._stream, size, self._length)

    def _open(self) -> InputStream:
        environ = self._environ
        if self._length is None:
            # Some servers say of every input that it ends, even where the client announced
            # nothing; only a transfer coding, or HTTP/2 framing, means that a body was sent whole.
            framed = "chunked" in environ.get(
                "HTTP_TRANSFER_ENCODING", ""
            ).lower() or not environ.get("SERVER_PROTOCOL", "HTTP/1").startswith("HTTP/1")
            if not (framed and environ.get("wsgi.input_terminated")):
                raise LengthRequiredError
        elif self._length > self._limit:
            raise TooLargeError
        return environ["wsgi.input"]

    def _read_counted(self, stream: InputStream, size: int, length: int) -> bytes:
        left = length - self._count
        chunk = _receive(stream, min(size, left)) if left else b""
        if left and not chunk:
            raise TruncatedError
        self._count += len(chunk)
        return chunk

    def _read_chunked(self, stream: InputStream, size: int) -> bytes:
        chunk = _receive(stream, size)
        self._ended = not chunk
        self._count += len(chunk)
        if self._count > self._limit:
            raise TooLargeError
        return chunk


def _receive(stream: InputStream, size: int) -> bytes:
    try:
        return stream.read(size)
    except Exception as error:
        # A lost client, a time-out, a malformed chunk: each server has exceptions of its own for
        # what all come to the same, that the body did not arrive.
        raise TruncatedError from error
