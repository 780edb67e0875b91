"""HTTP nouns without a server: what a format's routes speak, whatever carries them.

An adapter (``repocore_web`` for WSGI) turns its own request into a `Request`, calls the handler of
the matching `Route` with a session, and writes the `Response`.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, BinaryIO, Final, Generic, Protocol, Self, TypeVar, cast

import attrs

from repocore.errors import (
    AccessDeniedError,
    AuthenticatorError,
    BlobMissingError,
    ChecksumMismatchError,
    ConflictError,
    InvalidPathError,
    LengthRequiredError,
    MissingError,
    NotAuthenticatedError,
    PreconditionFailedError,
    QuotaExceededError,
    ReadOnlyError,
    RejectedError,
    ReplicaError,
    ReplicaReadOnlyError,
    StorageError,
    StorageFullError,
    TooLargeError,
    TooManyAttemptsError,
    TruncatedError,
    UpstreamError,
    UpstreamRefusedError,
)
from repocore.model import Action, Credentials, File

__all__ = [
    "Admits",
    "FileContent",
    "Headers",
    "Part",
    "Readable",
    "Request",
    "Response",
    "Route",
    "status_for",
]

SessionT = TypeVar("SessionT")
#: Bytes of a request in JSON; five hundred long names take a fifth of it.
_MOST_JSON: Final = 1 << 20


def _no_parts() -> Iterator[Part]:
    message = "A multipart body was expected."
    raise RejectedError(message)


class Admits(enum.Enum):
    """Whom a route admits, where that is no `Action` on what it is about."""

    #: Whoever asks: it tells nothing and changes nothing of anybody's.
    ANYONE = "anyone"
    #: Whoever asks, and shows each what they may read.
    READERS = "readers"
    #: Whoever has signed in.
    ACCOUNTS = "accounts"
    #: The account that it is about, and administrators.
    ONESELF = "oneself"


class Readable(Protocol):
    """A body that is read in pieces; ``b""`` is its end."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes."""
        ...


class Headers(Protocol):
    """Header fields by name, whatever their case."""

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """The field's value, or the default."""
        ...


class Part(Protocol):
    """One part of a multipart body (RFC 7578); read it before the next."""

    @property
    def name(self) -> str:
        """The field that it is."""
        ...

    @property
    def filename(self) -> str | None:
        """The name of its file, as sent."""
        ...

    @property
    def headers(self) -> Headers:
        """Its own header fields."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; ``b""`` is its end."""
        ...


@attrs.define(kw_only=True)
class Request:
    """One request, below the place where its repository is mounted.

    ``fields`` holds the decoded values of the route's template; ``body`` is not touched until
    somebody reads it, raises `LengthRequiredError` where its extent is unknown, `TruncatedError`
    where it ends before its ``length``, and `TooLargeError` past the settings' limit.
    """

    method: str
    path: str
    fields: Mapping[str, str]
    query: Mapping[str, str]
    headers: Headers
    body: Readable
    length: int | None
    credentials: Credentials
    #: The address of the repository, ``format/name``; empty for a route of the site.
    repository: str
    #: The parts of a multipart body, one after the other; raises `RejectedError` for another body.
    parts: Callable[[], Iterator[Part]] = _no_parts
    #: The public URL of the repository (or the site), without a slash at its end.
    base_url: str

    def json(self, *names: str, most: int = _MOST_JSON) -> dict[str, Any]:
        """The body as an object of JSON; for small bodies.

        With names, no other fields may stand in it.

        Raises `RejectedError` for anything else, and `TooLargeError` for more bytes than ``most``.
        """
        chunks: list[bytes] = []
        left = most + 1
        while left > 0 and (chunk := self.body.read(left)):
            chunks.append(chunk)
            left -= len(chunk)
        if left <= 0:
            message = f"The request is longer than {most} bytes; ask for less at once."
            raise TooLargeError(message)
        try:
            value = json.loads(b"".join(chunks))
        except (ValueError, RecursionError) as error:
            message = "The request is no JSON."
            raise RejectedError(message) from error
        if not isinstance(value, dict):
            message = "The request is no object of JSON."
            raise RejectedError(message)
        fields = cast("dict[str, Any]", value)
        unknown = sorted(fields.keys() - set(names))
        if names and unknown:
            message = f"Nobody knows the field {unknown[0][:80]!r}; there are {', '.join(names)}."
            raise RejectedError(message)
        return fields


@attrs.frozen(kw_only=True)
class FileContent:
    """The bytes of a file as a response body.

    ``open(start, stop)`` streams a part; ``url(lifetime)`` is where the storage itself serves it,
    if it does; ``location`` is its name below the storage's root, for servers that send files.
    ``served`` counts a download: whoever sends the bytes from their start, or says where they are,
    calls it once.
    """

    file: File
    open: Callable[[int, int | None], BinaryIO]
    url: Callable[[timedelta], str | None]
    location: str | None
    served: Callable[[], None] = lambda: None
    #: Of a document: the serial that it was made from.
    serial: int | None = None
    #: Of a document: whether there may be a newer one, which takes too long to make.
    late: bool = False


@attrs.frozen
class Response:
    """A status, header fields, and a body: bytes, a file's content, or chunks."""

    status: int = 200
    body: bytes | FileContent | Iterable[bytes] = b""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def text(cls, text: str, status: int = 200) -> Self:
        """Plain text, without a line end that nobody asked for."""
        return cls(status, text.encode(), (("Content-Type", "text/plain; charset=utf-8"),))

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Self:
        """JSON of exactly the type ``application/json`` (Conan clients compare it literally)."""
        body = json.dumps(value, ensure_ascii=False, separators=(", ", ": ")).encode()
        return cls(status, body, (("Content-Type", "application/json"),))


@attrs.frozen(kw_only=True)
class Route(Generic[SessionT]):
    """A method and a path template, and who answers.

    ``{name}`` matches one segment, ``{rest:path}`` one or more at the end.  Where ``format`` is
    given, the template is below each repository of that format; otherwise it is below the root.
    ``errors`` goes before `status_for`; ``summary`` is the line in the reference.  ``permission``
    is what the handler asks of its session before anything else: tests hold it to that.

    ``query``, ``body`` and ``answers`` describe it to people and programs: a route of the API has
    them.  Shapes are attrs classes; a PATCH takes any of its body's fields.
    """

    method: str
    template: str
    handler: Callable[[SessionT, Request], Response]
    summary: str
    #: What one needs to get through: an action on what it is about, or less than that.
    permission: Action | Admits
    format: str | None = None
    errors: Mapping[type[Exception], int] = attrs.field(factory=dict[type[Exception], int])
    #: The class whose fields are what may stand in the query.
    query: type | None = None
    #: The class whose fields are those of the object of JSON that it takes.
    body: type | None = None
    #: What it answers, by status: a shape of JSON, the media type of something else, or None for
    #: no body.  Errors are the same for all routes.
    answers: Mapping[int, Any] = attrs.field(factory=dict[int, Any])


_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (NotAuthenticatedError, 401),
    (TooManyAttemptsError, 429),
    (MissingError, 404),
    (PreconditionFailedError, 412),
    (ConflictError, 409),
    (ChecksumMismatchError, 400),
    (TruncatedError, 400),
    (InvalidPathError, 400),
    (LengthRequiredError, 411),
    (TooLargeError, 413),
    (QuotaExceededError, 413),
    (RejectedError, 422),
    (BlobMissingError, 500),
    (StorageFullError, 507),
    (StorageError, 503),
    (ReplicaReadOnlyError, 403),
    (ReadOnlyError, 503),
    (ReplicaError, 409),
    (AuthenticatorError, 503),
    (UpstreamRefusedError, 422),
    (UpstreamError, 502),
)


def status_for(error: Exception) -> int:
    """The status that an error of the house means in HTTP; 500 for any other exception."""
    if isinstance(error, AccessDeniedError):
        return 404 if error.hidden else 403
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return 500
