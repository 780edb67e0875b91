"""Uploads in the forms of other servers, so that their clients' commands work here.

``rattler-build upload quetz`` and quetz-client send a raw body, or a form with files;
``rattler-build upload prefix`` sends a form with one file.  The channel is a name in the path; the
subdir is told by the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

import attrs

from repocore.errors import (
    ChecksumMismatchError,
    InvalidPathError,
    RejectedError,
    TooLargeError,
)
from repocore.http import Part, Readable, Request, Response, Route
from repocore.model import Action, Digest, File, FilePath, Resource
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.patch_packages import apply_patch_package
from repocore.plugins.conda.routes import announced_by, wants
from repocore.registry import Session, Upload

__all__ = ["routes"]

Handler = Callable[[Session, Request], Response]

_TRUE: Final = frozenset({b"1", b"true", b"True", b"on"})
#: Text fields of a form are switches.
_MOST_TEXT: Final = 64
#: Bytes of attestations in one part: as much as clients fetch.
_MOST_ATTESTED: Final = 4 << 20
_CHUNK: Final = 1 << 16
#: Where channels are: an attestation may name either as its target.
_PLACES: Final = ("conda", "get")
_NO_PART: Final = "The form has no part {} with a package in it."
#: Not Acceptable is what clients of this API expect for bytes that arrived damaged.
_ERRORS: Final[dict[type[Exception], int]] = {ChecksumMismatchError: 406}


def _raw(session: Session, request: Request) -> Response:
    """Upload a package as a raw body (quetz); ``force`` replaces what is published."""
    name = request.fields["filename"]
    announced = announced_by(request)
    _put(session, request, name, request.body, announced, force=wants(request, "force"))
    return Response.json(None, 201)


def _form(session: Session, request: Request) -> Response:
    """Upload packages as a form (quetz): parts ``files``, and ``force`` before them."""
    _upload_form(session, request, "files", None)
    return Response.json(None, 201)


def _form_of_package(session: Session, request: Request) -> Response:
    """Upload files of one package as a form (quetz)."""
    _upload_form(session, request, "files", request.fields["package"])
    return Response.json(None, 201)


def _prefix(session: Session, request: Request) -> Response:
    """Upload a package as a form with a part ``file``, and maybe ``attestation`` (prefix.dev)."""
    _require(session, request, None)
    parts = _Parts(request.parts())
    force = wants(request, "force")
    made: list[File] = []
    while (part := parts.next()) is not None:
        if part.name == "force":
            force = part.read(_MOST_TEXT) in _TRUE
        elif part.name == "file":
            made.append(_put_attested(session, request, part, parts, force=force))
    if not made:
        raise RejectedError(_NO_PART.format("file"))
    return Response.json([str(file.path) for file in made], 201)


class _Parts:
    """The parts of a form; attestations are kept for the file that they stand before or after."""

    def __init__(self, parts: Iterator[Part]) -> None:
        self._parts = parts
        self._kept: Part | None = None
        self._texts: list[bytes] = []

    def next(self) -> Part | None:
        """The next part that is no attestation; None at the end."""
        kept, self._kept = self._kept, None
        while kept is None:
            part = next(self._parts, None)
            if part is None or part.name != "attestation":
                return part
            self._texts.append(_text_of(part, _MOST_ATTESTED - sum(map(len, self._texts))))
        return kept

    def attestations(self) -> list[bytes]:
        """Those that have come, and those that come next; to be asked once a file was read."""
        self._kept = self.next()
        found, self._texts = self._texts, []
        return found


def _text_of(part: Part, most: int) -> bytes:
    text = bytearray()
    while len(text) <= most and (chunk := part.read(_CHUNK)):
        text += chunk
    if len(text) > most:
        message = f"The attestations of a form have up to {_MOST_ATTESTED} bytes."
        raise TooLargeError(message)
    return bytes(text)


def _put_attested(
    session: Session, request: Request, part: Part, parts: _Parts, *, force: bool
) -> File:
    """Put a file together with the attestations around it."""
    told = attrs.evolve(request, headers=part.headers)
    upload = Upload(
        path=FilePath.parse(_name_of(part)),
        stream=part,
        announced=announced_by(told),
        overwrite=force,
        named=True,
    )
    address = _address(request)
    urls = [f"{request.base_url}/{place}/{request.fields['channel']}" for place in _PLACES]
    file = session.attestations.put(address, upload, parts.attestations, urls)
    apply_patch_package(session, address, file)
    return file


def _upload_form(session: Session, request: Request, field: str, package: str | None) -> list[File]:
    """Put the files of a form, each as it comes; what was put stays when a later one fails."""
    _require(session, request, package)
    force = wants(request, "force")
    made: list[File] = []
    for part in request.parts():
        if part.name == "force":
            force = part.read(_MOST_TEXT) in _TRUE
        elif part.name == field:
            made.append(_put_part(session, request, part, package, force=force))
    if not made:
        raise RejectedError(_NO_PART.format(field))
    return made


def _require(session: Session, request: Request, package: str | None) -> None:
    """Refuse who may upload nothing before the form is read: its file names come with the files.

    Where a rule grants single packages, the first name decides instead.
    """
    address = _address(request)
    resource = Resource("conda", address.partition("/")[2], package)
    if not session.allowed(Action.WRITE, resource) and session.principal.anonymous:
        session.require(Action.WRITE, resource)


def _name_of(part: Part) -> str:
    name = part.headers.get("X-File-Name") or part.filename or ""
    return PurePosixPath(name.replace("\\", "/")).name


def _put_part(
    session: Session, request: Request, part: Part, package: str | None, *, force: bool
) -> File:
    name = _name_of(part)
    if package is not None and PackageFile.parse(name).name != package:
        message = f"{name[:80]!r} is not a file of the package {package[:80]}."
        raise InvalidPathError(message)
    told = attrs.evolve(request, headers=part.headers)
    return _put(session, request, name, part, announced_by(told), force=force)


def _put(
    session: Session,
    request: Request,
    name: str,
    body: Readable,
    announced: tuple[Digest, ...],
    *,
    force: bool,
) -> File:
    file = session.files.put(
        _address(request),
        FilePath.parse(name),
        body,
        length=request.length if body is request.body else None,
        announced=announced,
        overwrite=force,
        named=True,
    )
    apply_patch_package(session, _address(request), file)
    return file


def _address(request: Request) -> str:
    return f"conda/{request.fields['channel']}"


def routes() -> Iterable[Route[Session]]:
    """At the root of the site, where those clients look for them."""
    found: tuple[tuple[str, Handler], ...] = (
        ("/api/channels/{channel}/upload/{filename}", _raw),
        ("/api/channels/{channel}/files", _form),
        ("/api/channels/{channel}/packages/{package}/files", _form_of_package),
        ("/api/v1/upload/{channel}", _prefix),
    )
    for template, handler in found:
        yield Route(
            method="POST",
            template=template,
            handler=handler,
            summary=(handler.__doc__ or "").strip().splitlines()[0],
            permission=Action.WRITE,
            errors=_ERRORS,
        )
