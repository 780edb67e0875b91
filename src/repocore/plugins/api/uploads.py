"""``/api/v1/uploads``: begin to send a large file to the storage itself, and give it up.

It is completed where every file is uploaded, at its own address, by a request without a body that
has its id in the field ``X-Repocore-Upload``: a format does with it what it does with others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Self

import attrs

from repocore.http import Admits, Request, Response, Route
from repocore.model import Action, Digest
from repocore.plugins.api.answering import plain, require_account, tagged
from repocore.plugins.api.describing import route
from repocore.plugins.api.reading import read_body
from repocore.ports import DirectPart, DirectUpload
from repocore.registry import Session

__all__ = [
    "DirectPartView",
    "DirectUploadView",
    "NewDirectUpload",
    "OfferView",
    "begin",
    "forget",
    "offer",
    "routes",
]


@attrs.frozen(kw_only=True)
class OfferView:
    """Which files may be sent to the storage itself."""

    smallest: Annotated[int | None, "From how many bytes on; null: none may."]


@attrs.frozen(kw_only=True)
class NewDirectUpload:
    """A file that is to be sent."""

    repository: Annotated[str, "The address of the repository, for example conda/main."]
    path: Annotated[str, "Where it is to be in the repository."]
    size: Annotated[int, "How many bytes it has."]
    sha256: Annotated[str, "The SHA-256 of its bytes, in hex."]


@attrs.frozen(kw_only=True)
class DirectPartView:
    """A part that has not arrived, and the request that sends it."""

    start: Annotated[int, "Its first byte."]
    stop: Annotated[int, "The byte behind its last."]
    method: Annotated[str, "The method of the request."]
    url: Annotated[str, "Where to; a secret, as whoever has it can send the part."] = attrs.field(
        repr=False
    )
    headers: Annotated[Mapping[str, str], "The header fields that are to be sent."]

    @classmethod
    def of(cls, part: DirectPart) -> Self:
        """A part as it may be told to who asked for it."""
        return cls(
            start=part.start,
            stop=part.stop,
            method=part.method,
            url=part.url,
            headers=part.headers,
        )


@attrs.frozen(kw_only=True)
class DirectUploadView:
    """An upload on its way."""

    id: Annotated[str, "What to complete it by, or to give it up."]
    expires_at: Annotated[datetime, "When the URLs stop working; begin again for new ones."]
    parts: Annotated[
        tuple[DirectPartView, ...],
        "Some parts that have not arrived; once they have, begin again for the next.  None: all "
        "has arrived, and can be completed.",
    ]

    @classmethod
    def of(cls, upload: DirectUpload) -> Self:
        """An upload, with its next parts."""
        parts = tuple(map(DirectPartView.of, upload.parts))
        return cls(id=upload.id, expires_at=upload.expires, parts=parts)


def routes() -> Iterable[Route[Session]]:
    """Three routes of the site."""
    yield route("GET", "uploads", offer, Admits.ACCOUNTS, answers={200: OfferView})
    yield route(
        "POST",
        "uploads",
        begin,
        Action.WRITE,
        body=NewDirectUpload,
        answers={201: DirectUploadView},
    )
    yield route("DELETE", "uploads/{upload}", forget, Admits.ONESELF, answers={204: None})


def offer(session: Session, request: Request) -> Response:
    """Tell which files may be sent to the storage itself."""
    require_account(session)
    return tagged(request, OfferView(smallest=session.uploads.smallest))


def begin(session: Session, request: Request) -> Response:
    """Begin to send a file to the storage itself, or go on with one of the same bytes."""
    wanted = read_body(request, NewDirectUpload)
    upload = session.uploads.begin(
        wanted.repository,
        wanted.path,
        size=wanted.size,
        digest=Digest("sha256", wanted.sha256.lower()),
    )
    return Response.json(plain(DirectUploadView.of(upload)), 201)


def forget(session: Session, request: Request) -> Response:
    """Give an upload up, and delete what arrived of it."""
    session.uploads.forget(request.fields["upload"])
    return Response(204)
