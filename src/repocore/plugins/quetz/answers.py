"""The forms of quetz's answers: errors as ``detail``, lists as they are or a page of them.

Its clients make objects of a fixed shape from what they get, so each answer has exactly the keys
that it is known by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from repocore.errors import (
    AccessDeniedError,
    InvalidPathError,
    MissingError,
    NotAuthenticatedError,
    RejectedError,
    RepocoreError,
    RepositoryMissingError,
)
from repocore.http import Request, Response, status_for
from repocore.model import Action, Repository, Resource, split_address
from repocore.registry import Session

__all__ = [
    "Fields",
    "Handler",
    "Listing",
    "UnsignedError",
    "address_of",
    "answering",
    "listed",
    "no_such",
    "paged",
    "permitted",
    "query_count",
    "query_flag",
    "signed_in",
]

Handler = Callable[[Session, Request], Response]
T = TypeVar("T")

#: What a list without bounds is asked for with.
_ALL: Final = -1
_PAGE: Final = 20
_DIGITS: Final = 12
_SERVERS: Final = 500
_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="repocore", Bearer')
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off", ""})


class UnsignedError(AccessDeniedError):
    """There are terms of service that the asker has not signed."""


def signed_in(session: Session) -> str:
    """The name of who asks; raises `NotAuthenticatedError` where there is none."""
    name = session.principal.name
    if name is None:
        raise NotAuthenticatedError
    return name


def address_of(request: Request) -> str:
    """The address of the channel in the path; raises `RepositoryMissingError` for no name."""
    address = f"conda/{request.fields['channel']}"
    try:
        split_address(address)
    except InvalidPathError as error:
        raise RepositoryMissingError from error
    return address


def permitted(
    session: Session, request: Request, action: Action, package: str | None = None
) -> Repository:
    """The channel in the path, if the action is allowed on it, or on a package of it.

    Raises `RepositoryMissingError`, `NotAuthenticatedError` and `AccessDeniedError`; whoever may
    not see it cannot tell whether it is there.
    """
    address = address_of(request)
    whole = Resource("conda", address.partition("/")[2])
    seen = session.allowed(Action.READ, whole)
    found = session.registry.access.repositories.get(address)
    if not seen or found is not None:
        if action is not Action.READ:
            signed_in(session)
        session.require(action, attrs.evolve(whole, package=package))
    if found is None:
        raise RepositoryMissingError
    return found.value


def answering(handler: Handler, *, hiding: bool = False) -> Handler:
    """A handler whose errors are answered as quetz does: ``{"detail": …}``.

    What one may not see is answered like what is not there; with ``hiding``, to those who have
    not signed in as well.
    """

    def answer(session: Session, request: Request) -> Response:
        try:
            return handler(session, request)
        except RepocoreError as error:
            return _refusal(error, request, hiding=hiding)

    answer.__doc__ = handler.__doc__
    answer.__name__ = handler.__name__
    return answer


def _refusal(error: RepocoreError, request: Request, *, hiding: bool) -> Response:
    if isinstance(error, NotAuthenticatedError):
        if hiding:
            return _missing(request)
        made = Response.json({"detail": "Not logged in"}, 401)
        return attrs.evolve(made, headers=(*made.headers, _CHALLENGE))
    if isinstance(error, RepositoryMissingError):
        return _missing(request)
    if isinstance(error, AccessDeniedError):
        if error.hidden and "channel" in request.fields:
            return _missing(request)
        told = str(error) if isinstance(error, UnsignedError) else "No permission"
        return Response.json({"detail": told}, 403)
    status = 422 if isinstance(error, InvalidPathError) else status_for(error)
    if status >= _SERVERS:
        raise error
    return Response.json({"detail": str(error)}, status)


def _missing(request: Request) -> Response:
    channel = request.fields.get("channel", "")
    return Response.json({"detail": f"Channel {channel} not found"}, 404)


# ------------------------------------------------------------------------------------------ lists


@attrs.frozen
class Listing:
    """What a list holds, and how each thing in it is described."""

    #: Everything that the asker may see, in order.
    find: Callable[[Session, Request], Sequence[Any]]
    describe: Callable[[Session, Any], Any]
    summary: str
    hiding: bool = False


def listed(listing: Listing) -> Handler:
    """All of a list; ``?skip=`` and ``?limit=`` cut it."""

    def answer(session: Session, request: Request) -> Response:
        found = listing.find(session, request)
        skip, limit = _bounds(request, _ALL)
        return Response.json([listing.describe(session, one) for one in _cut(found, skip, limit)])

    answer.__doc__ = listing.summary
    return answering(answer, hiding=listing.hiding)


def paged(listing: Listing) -> Handler:
    """A page of a list, 20 if not said otherwise, and how many there are in all."""

    def answer(session: Session, request: Request) -> Response:
        found = listing.find(session, request)
        skip, limit = _bounds(request, _PAGE)
        pagination = {"skip": skip, "limit": limit, "all_records_count": len(found)}
        result = [listing.describe(session, one) for one in _cut(found, skip, limit)]
        return Response.json({"pagination": pagination, "result": result})

    answer.__doc__ = f"{listing.summary.rstrip('.')}, a page at a time: `?skip=`, `?limit=`."
    return answering(answer, hiding=listing.hiding)


def _bounds(request: Request, default: int) -> tuple[int, int]:
    skip = query_count(request, "skip", 0)
    limit = query_count(request, "limit", default)
    return max(skip, 0), limit


def _cut(found: Sequence[T], skip: int, limit: int) -> Sequence[T]:
    return found[skip:] if limit < 0 else found[skip : skip + limit]


def query_count(request: Request, name: str, default: int) -> int:
    """A whole number of the query; raises `RejectedError` for another word."""
    written = request.query.get(name, "")
    if not written:
        return default
    digits = written.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS:
        return int(written)
    message = f"`{name}` is no whole number."
    raise RejectedError(message)


def query_flag(request: Request, name: str, *, default: bool) -> bool:
    """A switch of the query, however it is spelled; raises `RejectedError` for another word."""
    written = request.query.get(name)
    if written is None:
        return default
    return _flag(written, name)


def _flag(written: str, name: str) -> bool:
    word = written.lower()
    if word not in _TRUE | _FALSE:
        message = f"`{name}` is true or false."
        raise RejectedError(message)
    return word in _TRUE


# ----------------------------------------------------------------------------------------- bodies


@attrs.frozen
class Fields:
    """The fields of a body; each method raises `RejectedError` for one of another kind.

    A field that is null is one that is not there.
    """

    values: Mapping[str, Any]

    @classmethod
    def of(cls, request: Request, *names: str) -> Fields:
        """Those of a request's body, which may have these and no others."""
        return cls(request.json(*names))

    def text(self, name: str, default: str | None = None, *, most: int = 1000) -> str:
        """A text of one or more lines; without a default it has to be there."""
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or len(value) > most or "\0" in value:
            message = f"`{name}` has to be a text of up to {most} characters."
            raise RejectedError(message)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Yes or no; some clients send a word."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, str):
            return _flag(value, name)
        if not isinstance(value, bool):
            message = f"`{name}` is true or false."
            raise RejectedError(message)
        return value

    def count(self, name: str, default: int | None = None) -> int | None:
        """A number, not below nothing; some clients send it as a text."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            value = int(value[:_DIGITS])
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            message = f"`{name}` has to be a whole number, and not below 0."
            raise RejectedError(message)
        return value


def no_such(what: str) -> MissingError:
    """An error for something that is not there."""
    message = f"{what} not found"
    return MissingError(message)
