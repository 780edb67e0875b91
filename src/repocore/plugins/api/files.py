"""``/api/v1/repositories/…/files``: list them, look at one, fetch it, delete it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self
from urllib.parse import quote

import attrs

from repocore.http import Request, Response, Route
from repocore.model import Action, File
from repocore.plugins.api.answering import require_match, tagged
from repocore.plugins.api.describing import TOP, route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import address_of, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import Session

__all__ = [
    "FileView",
    "FilesQuery",
    "delete",
    "fetch",
    "list_files",
    "routes",
    "show",
]


@attrs.frozen(kw_only=True)
class FileView:
    """A file of a repository."""

    path: Annotated[str, "Where it is in the repository."]
    sha256: Annotated[str, "The SHA-256 of its bytes, in hex."]
    size: Annotated[int, "How many bytes it has."]
    media_type: Annotated[str, "What it is."]
    partition: Annotated[str | None, "The partition of its release; null where it is of none."]
    release: Annotated[str | None, "The name of its release."]
    created_at: Annotated[datetime, "When it got these bytes."]
    url: Annotated[str, "Where its bytes are."]

    @classmethod
    def of(cls, request: Request, one: File) -> Self:
        """A file, with the address at which whoever asked can fetch it."""
        path = str(one.path)
        return cls(
            path=path,
            sha256=one.digest,
            size=one.size,
            media_type=one.media_type,
            partition=one.partition,
            release=one.release,
            created_at=one.created_at,
            url=f"{request.base_url}{TOP}/repositories/{one.repository}/content/"
            f"{quote(path, safe='/@+~')}",
        )


@attrs.frozen(kw_only=True)
class FilesQuery(PageQuery):
    """Which files."""

    prefix: Annotated[str, "Only those whose paths begin with it."] = ""


def routes() -> Iterable[Route[Session]]:
    """Four routes of the site."""
    top = "repositories/{format}/{name}"
    yield route(
        "GET",
        f"{top}/files",
        list_files,
        Action.READ,
        query=FilesQuery,
        answers={200: Listing(FileView)},
    )
    one = f"{top}/files/{{path:path}}"
    yield route("GET", one, show, Action.READ, answers={200: FileView})
    yield route("DELETE", one, delete, Action.DELETE, answers={204: None})
    yield route(
        "GET",
        f"{top}/content/{{path:path}}",
        fetch,
        Action.READ,
        answers={200: "application/octet-stream"},
    )


def list_files(session: Session, request: Request) -> Response:
    """List the files of a repository that one may read, by path."""
    session.repositories.get(address_of(request))
    query = read_query(request, FilesQuery)
    page = page_of(session, query, str)
    after = page.after[0] if page.after else ""
    found = session.files.list(address_of(request), prefix=query.prefix, after=after)
    return answer_page(
        request, page, found, lambda one: (str(one.path),), lambda one: FileView.of(request, one)
    )


def show(session: Session, request: Request) -> Response:
    """Tell what a file is, and where its bytes are."""
    return tagged(request, _view(session, request))


def _view(session: Session, request: Request) -> FileView:
    return FileView.of(request, session.files.stat(address_of(request), request.fields["path"]))


def delete(session: Session, request: Request) -> Response:
    """Delete a file that its release, if it is of one, does without."""
    require_match(request, lambda: _view(session, request))
    session.files.delete(address_of(request), request.fields["path"])
    return Response(204)


def fetch(session: Session, request: Request) -> Response:
    """Send the bytes of a file; ranges and conditions work as at any other address of it."""
    return Response(200, session.files.content(address_of(request), request.fields["path"]))
