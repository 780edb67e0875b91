"""Multipart bodies (RFC 7578), part by part as they arrive: no part is ever held whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from wsgiref.types import WSGIEnvironment

from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from repocore.errors import RejectedError, TooLargeError, TruncatedError
from repocore.http import Part, Readable

__all__ = ["read_parts"]

_CHUNK: Final = 1 << 16
#: Parts of one body; the decoder keeps a bound on the header fields of each by its buffer.
_MOST: Final = 1000
_BUFFER: Final = 1 << 20
_BROKEN: Final = "The multipart body cannot be read; send it again."


def read_parts(environ: WSGIEnvironment, body: Readable) -> Iterator[Part]:
    """The parts of a body; each must be read before the next is asked for, or is passed over.

    Raises `RejectedError` for what is no multipart body, `TruncatedError` for one without its end
    and `TooLargeError` for too many parts.
    """
    kind, options = parse_options_header(environ.get("CONTENT_TYPE"))
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary:
        message = "Send the file as multipart/form-data, with a boundary."
        raise RejectedError(message)
    events = _Events(body, MultipartDecoder(boundary.encode("latin-1", "replace"), _BUFFER))
    for _ in range(_MOST):
        event = events.next()
        while isinstance(event, Data):
            event = events.next()  # the rest of a part that nobody read
        if isinstance(event, Epilogue):
            return
        if isinstance(event, (Field, File)):
            yield _Part(events, event)
    raise TooLargeError


class _Events:
    """The decoder, fed with the body."""

    def __init__(self, body: Readable, decoder: MultipartDecoder) -> None:
        self._body = body
        self._decoder = decoder
        self._back: Event | None = None

    def next(self) -> Event:
        """The next event but a preamble."""
        if self._back is not None:
            event, self._back = self._back, None
            return event
        try:
            while True:
                event = self._decoder.next_event()
                if isinstance(event, (Data, Field, File, Epilogue)):
                    return event
                if isinstance(event, NeedData):
                    self._decoder.receive_data(self._body.read(_CHUNK) or None)
        except RequestEntityTooLarge as error:
            raise TooLargeError from error
        except ValueError as error:
            raise TruncatedError(_BROKEN) from error

    def push(self, event: Event) -> None:
        """Have an event again."""
        self._back = event


class _Fields:
    """Header fields of a part."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """The field's value, or the default."""
        return self._headers.get(name, default)


class _Part:
    """A `repocore.http.Part`."""

    def __init__(self, events: _Events, event: Field | File) -> None:
        self._events = events
        self._rest = b""
        self._ended = False
        self.name = event.name
        self.filename = event.filename if isinstance(event, File) else None
        self.headers = _Fields(event.headers)

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; ``b""`` is its end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        while not self._rest and not self._ended:
            event = self._events.next()
            if isinstance(event, Data):
                self._rest, self._ended = bytes(event.data), not event.more_data
            else:
                self._events.push(event)
                self._ended = True
        found, self._rest = self._rest[:size], self._rest[size:]
        return found
