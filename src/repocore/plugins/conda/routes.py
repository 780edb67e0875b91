"""The paths of a channel: what conda, mamba, rattler and pixi read, and plain uploads to them.

Documents are revalidated with each use, since each use may be answered with a newer one; what is
named by its content never changes.  What one may not read is not there: the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from repocore.errors import (
    AccessDeniedError,
    ChecksumMismatchError,
    InvalidPathError,
    MissingError,
    NotAuthenticatedError,
)
from repocore.http import FileContent, Request, Response, Route
from repocore.model import Action, Anonymous, Digest, File, FilePath
from repocore.plugins.conda.channels import is_attestations
from repocore.plugins.conda.filenames import parse_path
from repocore.plugins.conda.patch_packages import apply_patch_package, patch_changes
from repocore.plugins.conda.patches import PATCH_FILE
from repocore.registry import Session

__all__ = ["announced_by", "hiding", "routes", "wants"]

Handler = Callable[[Session, Request], Response]

# Clients take the body of a 404 for nothing; people read it.
_MISSING: Final = "There is nothing at this address.\n"
_ASKED: Final = ("Cache-Control", "no-cache")
_ETERNAL: Final = ("Cache-Control", "public, immutable, max-age=31536000")
_ETERNAL_PRIVATE: Final = ("Cache-Control", "private, immutable, max-age=31536000")
_LATE: Final = ("Warning", '110 - "The newest generation is being made; this is the one before."')
#: The id of a direct upload that a request completes.
_UPLOAD: Final = "X-Repocore-Upload"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})


def hiding(handler: Handler) -> Handler:
    """Answer 404 for what is missing and for what the asker may not read, in the same words.

    Wrong credentials are not the lack of them: those are a 401 before this is asked.
    """

    def answer(session: Session, request: Request) -> Response:
        try:
            return handler(session, request)
        except (MissingError, InvalidPathError):
            return Response.text(_MISSING, 404)
        except NotAuthenticatedError:
            if not isinstance(request.credentials, Anonymous):
                raise
            return Response.text(_MISSING, 404)
        except AccessDeniedError as error:
            if not error.hidden:
                raise
            return Response.text(_MISSING, 404)

    answer.__doc__ = handler.__doc__
    return answer


def _read(session: Session, request: Request) -> Response:
    """Send a package or a document of the channel."""
    content = session.files.content(request.repository, request.fields["path"])
    if is_attestations(content.file.path):
        content = attrs.evolve(content, served=_uncounted)
    return Response(200, content, tuple(_fields(session, request, content)))


def _get(session: Session, request: Request) -> Response:
    """Send a package or a document of a channel, at the address that it had in quetz."""
    address = f"conda/{request.fields['channel']}"
    base = f"{request.base_url}/get/{request.fields['channel']}"
    return _read(session, attrs.evolve(request, repository=address, base_url=base))


def _home(session: Session, request: Request) -> Response:
    """Lead from the address that a channel had in quetz to its page."""
    found = session.repositories.get(f"conda/{request.fields['channel']}")
    return Response(307, b"", (("Location", f"{request.base_url}/{found.address}"),))


def _uncounted() -> None:
    """Who looks at attestations has not fetched the package yet."""


def _fields(session: Session, request: Request, content: FileContent) -> Iterable[tuple[str, str]]:
    beside = is_attestations(content.file.path)
    if content.serial is None and not beside:
        return  # a package: the server's own fields are right
    if content.file.mutable and not beside:
        yield _ASKED
        yield "X-Repocore-Serial", str(content.serial)
    else:
        private = session.repositories.get(request.repository).private
        yield _ETERNAL_PRIVATE if private else _ETERNAL
    if content.late:
        yield _LATE


def _put(session: Session, request: Request) -> Response:
    """Upload a package to its place in the channel; 201, and every index has it."""
    path = FilePath.parse(request.fields["path"])
    if path.name == PATCH_FILE and wants(request, "dry_run"):
        return _rehearse(session, request, path)
    file = _stored(session, request, path)
    apply_patch_package(session, request.repository, file)
    made = Response.json({"path": str(file.path), "sha256": file.digest, "size": file.size}, 201)
    return Response(201, made.body, (*made.headers, ("Location", f"{request.base_url}/{path}")))


def _stored(session: Session, request: Request, path: FilePath) -> File:
    announced = announced_by(request)
    overwrite = wants(request, "force") or path.name == PATCH_FILE
    upload = request.headers.get(_UPLOAD)
    if upload is not None:
        # The body is in the storage already, and is read from there.
        return session.uploads.complete(
            request.repository, path, upload, announced=announced, overwrite=overwrite
        )
    return session.files.put(
        request.repository,
        path,
        request.body,
        length=request.length,
        announced=announced,
        overwrite=overwrite,
    )


def _rehearse(session: Session, request: Request, path: FilePath) -> Response:
    """What the instructions would change; nothing is."""
    found = patch_changes(session, request.repository, path.parts[0], request.body)
    return Response.json({"changes": [change._asdict() for change in found]})


def _delete(session: Session, request: Request) -> Response:
    """Delete a package; every index is without it."""
    path = FilePath.parse(request.fields["path"])
    if path.name == PATCH_FILE:
        session.releases.delete(request.repository, path.parts[0], PATCH_FILE)
    else:
        subdir, file = parse_path(path)
        session.releases.delete(request.repository, subdir, str(file))
    return Response(204)


def announced_by(request: Request) -> tuple[Digest, ...]:
    """The checksums that the sender says its file has: in header fields, or ``sha256`` in the
    query, which may be empty.  Raises `ChecksumMismatchError` for what is no checksum.
    """
    headers = request.headers
    sent = [
        ("sha256", request.query.get("sha256")),
        ("sha256", headers.get("X-File-SHA256") or headers.get("X-Checksum-Sha256")),
        ("md5", headers.get("X-File-MD5") or headers.get("X-Checksum-Md5")),
    ]
    try:
        return tuple(Digest(name, value.lower()) for name, value in sent if value)
    except InvalidPathError as error:
        message = "A checksum that was sent with the file is not one in hex."
        raise ChecksumMismatchError(message) from error


def wants(request: Request, name: str) -> bool:
    """Whether a switch in the query is on."""
    return request.query.get(name, "").lower() in _TRUE


def routes() -> Iterable[Route[Session]]:
    """Below each channel; reading also where quetz has its channels."""
    for method, handler, permission in (
        ("GET", hiding(_read), Action.READ),
        ("PUT", _put, Action.WRITE),
        ("DELETE", _delete, Action.DELETE),
    ):
        yield Route(
            method=method,
            template="/{path:path}",
            handler=handler,
            summary=(handler.__doc__ or "").strip().splitlines()[0],
            permission=permission,
            format="conda",
        )
    for template, handler in (("/get/{channel}", _home), ("/get/{channel}/{path:path}", _get)):
        yield Route(
            method="GET",
            template=template,
            handler=hiding(handler),
            summary=(handler.__doc__ or "").strip().splitlines()[0],
            permission=Action.READ,
        )
