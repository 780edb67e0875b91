"""What a refused client is still sending: thrown away, so that it reads why it was refused.

A server that closes a connection while bytes are coming in resets it, and a reset destroys the
answer on its way (RFC 9112 section 9.6): a proxy makes a 502 of that, a client a broken
connection.  gunicorn reads 64 KiB more and then closes.  Apache and waitress have read all before
we are called, and others are left alone: only of gunicorn's socket we can end the reading in time.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Final
from wsgiref.types import InputStream, WSGIEnvironment

__all__ = ["SECONDS", "SILENCE", "lingering"]

#: How long a refused body is read, and how long no byte may come, in seconds; both as in nginx.
SECONDS: Final = 30.0
SILENCE: Final = 5.0

_PIECE: Final = 1 << 16


def lingering(environ: WSGIEnvironment, body: Iterable[bytes]) -> Iterable[bytes]:
    """The body of a refusal; when the server closes it, what is left of the request is read.

    The same body where nothing is left to read, or where we cannot end the reading.
    """
    connection = environ.get("gunicorn.socket")
    if not isinstance(connection, socket.socket) or not _has_body(environ):
        return body
    return _Lingering(body, environ["wsgi.input"], connection)


def _has_body(environ: WSGIEnvironment) -> bool:
    return (
        bool(environ.get("HTTP_TRANSFER_ENCODING")) or (environ.get("CONTENT_LENGTH") or "0") != "0"
    )


class _Lingering:
    """A body that has been sent when it is closed (PEP 3333)."""

    def __init__(self, body: Iterable[bytes], rest: InputStream, connection: socket.socket) -> None:
        self._body = body
        self._rest = rest
        self._connection = connection
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Read what is left, for as long as `SECONDS`; a client that falls silent ends it."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
        before = self._connection.gettimeout()
        # A byte now and then would keep any single read waiting for ever.
        end = threading.Timer(SECONDS, self._end)
        end.daemon = True
        end.start()
        try:
            self._connection.settimeout(SILENCE)
            while not self._ended and self._rest.read(_PIECE):
                pass
        except Exception:  # noqa: BLE001 - each server has its own for a body that does not arrive
            self._end()
        finally:
            end.cancel()
            with contextlib.suppress(OSError):
                self._connection.settimeout(before)

    def _end(self) -> None:
        # Two ends: one for bytes that keep coming, which can be read after a shutdown too, and
        # one for a reader that is waiting.
        self._ended = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RD)
