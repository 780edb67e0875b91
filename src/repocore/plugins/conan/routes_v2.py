"""The Conan protocol, revisions (v2): every end point that the 2.x client calls.

Statuses and texts are part of the protocol: JSON and deletes answer exactly 200, a missing thing
404 with a text that scripts look for, and whoever is signed in but may not gets 403, never 401,
because a client answers 401 with another login.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from repocore.errors import (
    ReleaseMissingError,
)
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action, Digest
from repocore.plugins.conan.asking import (
    Handler,
    announced_by,
    conan_route,
    finding,
    no_file,
    no_package,
    no_package_revision,
    no_packages,
    no_recipe,
    no_repository,
    package_of,
    prev_of,
    recipe_of,
    rrev_of,
)
from repocore.plugins.conan.paths import ConanFile, SourceFile
from repocore.plugins.conan.search import check_pattern, literal_prefix, packages, recipes
from repocore.plugins.conan.users import authenticate, check_credentials, ping
from repocore.registry import Session

__all__ = [
    "delete_package",
    "delete_package_revision",
    "delete_packages",
    "delete_recipe",
    "delete_recipe_revision",
    "download",
    "get_source",
    "package_files",
    "package_latest",
    "package_revisions",
    "put_source",
    "recipe_files",
    "recipe_latest",
    "recipe_revisions",
    "routes",
    "search_packages",
    "search_recipes",
    "upload",
]

_R: Final = "/v2/conans/{name}/{version}/{user}/{channel}"
_RR: Final = _R + "/revisions/{rrev}"
_P: Final = _RR + "/packages/{package_id}"
_PP: Final = _P + "/revisions/{prev}"
_OK: Final = Response(200)
_JSON: Final = (("Content-Type", "application/json"),)


def _file(request: Request) -> ConanFile:
    fields = request.fields
    name = tuple(fields["file"].split("/"))
    return ConanFile(
        recipe_of(request), fields["rrev"], name, fields.get("package_id"), fields.get("prev")
    )


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _entry(name: str, moment: datetime) -> str:
    # Names are checked words: nothing in them needs escaping.
    return f'{{"revision": "{name}", "time": "{_time(moment)}"}}'


def _latest(session: Session, request: Request, partition: str) -> Response:
    entry = _entry(*session.releases.newest(request.repository, partition))
    return Response(200, entry.encode(), _JSON)


def _revisions(session: Session, request: Request, partition: str) -> Response:
    found = session.releases.names(request.repository, partition)
    if not found:
        raise ReleaseMissingError
    entries = ", ".join(_entry(name, moment) for name, moment in found)
    return Response(200, f'{{"revisions": [{entries}]}}'.encode(), _JSON)


def recipe_latest(session: Session, request: Request) -> Response:
    """The newest recipe revision."""
    return _latest(session, request, recipe_of(request).partition)


def recipe_revisions(session: Session, request: Request) -> Response:
    """All recipe revisions, newest first."""
    return _revisions(session, request, recipe_of(request).partition)


def package_latest(session: Session, request: Request) -> Response:
    """The newest revision of a package."""
    return _latest(session, request, package_of(request).partition)


def package_revisions(session: Session, request: Request) -> Response:
    """All revisions of a package, newest first."""
    package = package_of(request)
    try:
        return _revisions(session, request, package.partition)
    except ReleaseMissingError:
        if session.releases.names(request.repository, package.recipe.partition):
            raise
        return Response.text(no_recipe(request), 404)


def _file_list(
    session: Session, request: Request, partition: str, release: str, depth: int
) -> Response:
    files = session.releases.files(request.repository, partition, release)
    listed = {
        "/".join(file.path.parts[depth:]): {"size": file.size, "sha256": file.digest}
        for file in files
    }
    return Response.json({"files": listed})


def recipe_files(session: Session, request: Request) -> Response:
    """The files of a recipe revision, with size and sha256."""
    return _file_list(session, request, recipe_of(request).partition, rrev_of(request), 6)


def package_files(session: Session, request: Request) -> Response:
    """The files of a package revision, with size and sha256."""
    return _file_list(session, request, package_of(request).partition, prev_of(request), 8)


def download(session: Session, request: Request) -> Response:
    """The bytes of a file."""
    return Response(200, session.files.content(request.repository, _file(request).path))


def upload(session: Session, request: Request) -> Response:
    """Store a file of a revision; with ``X-Checksum-Deploy``, from bytes that are there already."""
    file = _file(request)
    announced = announced_by(request)
    if file.package_id is not None and not session.releases.exists(
        request.repository, file.recipe.partition, file.rrev
    ):
        raise ReleaseMissingError  # a package comes after its recipe
    if (request.headers.get("X-Checksum-Deploy") or "false").lower() != "false":
        return _deploy(session, request, file, announced)
    session.files.put(
        request.repository, file.path, request.body, length=request.length, announced=announced
    )
    return _OK


def _deploy(
    session: Session, request: Request, file: ConanFile, announced: tuple[Digest, ...]
) -> Response:
    # The strongest checksum decides: two of different contents would contradict each other.
    for digest in announced[-1:]:
        if session.files.refer(request.repository, file.path, digest) is not None:
            return Response(201)
    return Response.text("No file with that checksum here; send the content.", 404)


def search_recipes(session: Session, request: Request) -> Response:
    """References that match ``q``, ordered by name, version, user, channel."""
    pattern = check_pattern(request.query.get("q", ""))
    ignore_case = request.query.get("ignorecase", "true").lower() != "false"
    found = session.releases.packages(request.repository, prefix=literal_prefix(pattern))
    return Response.json({"results": recipes(found, pattern, ignore_case=ignore_case)})


def search_packages(session: Session, request: Request) -> Response:
    """The packages of a recipe revision (the newest where none is named), by package id."""
    partition = recipe_of(request).partition
    repository = request.repository
    named = "rrev" in request.fields
    rrev = rrev_of(request) if named else session.releases.newest(repository, partition)[0]
    names_only = request.query.get("list_only", "false").lower() != "false"
    try:
        found = session.releases.children(repository, partition, rrev)
    except ReleaseMissingError:
        # A known recipe without that revision has no packages; only an unknown one is missing.
        if not session.releases.names(repository, partition):
            raise
        found = []
    return Response.json(packages(found, names_only=names_only))


def delete_recipe(session: Session, request: Request) -> Response:
    """Delete every revision of a recipe with all its packages."""
    count = session.releases.delete_all(request.repository, recipe_of(request).partition)
    return _deleted(count)


def delete_recipe_revision(session: Session, request: Request) -> Response:
    """Delete one recipe revision with all its packages."""
    session.releases.delete(request.repository, recipe_of(request).partition, rrev_of(request))
    return _OK


def delete_packages(session: Session, request: Request) -> Response:
    """Delete all packages of a recipe revision; 404 where there are none."""
    partition = recipe_of(request).partition
    return _deleted(
        session.releases.delete_children(request.repository, partition, rrev_of(request))
    )


def delete_package(session: Session, request: Request) -> Response:
    """Delete every revision of a package."""
    return _deleted(session.releases.delete_all(request.repository, package_of(request).partition))


def delete_package_revision(session: Session, request: Request) -> Response:
    """Delete one package revision."""
    session.releases.delete(request.repository, package_of(request).partition, prev_of(request))
    return _OK


def _deleted(count: int) -> Response:
    if count == 0:
        raise ReleaseMissingError
    return _OK


def get_source(session: Session, request: Request) -> Response:
    """A backup source, or the JSON beside it."""
    path = SourceFile(request.fields["file"]).path
    return Response(200, session.files.content(request.repository, path))


def put_source(session: Session, request: Request) -> Response:
    """Store a backup source under its sha256; other bytes than that are refused."""
    session.files.put(
        request.repository,
        SourceFile(request.fields["file"]).path,
        request.body,
        length=request.length,
        announced=announced_by(request),
    )
    return _OK


def routes() -> Iterator[Route[Session]]:
    """Every route of a Conan repository."""
    for method, template, handler, admits in _SITE:
        yield conan_route(method, template, handler, admits)
    for method, template, handler, missing, permission in _TABLE:
        yield conan_route(method, template, finding(handler, missing), permission)


#: Conan 1 logs in under v1 even where it speaks v2 otherwise; Conan 2 pings there.
_SITE: Final[tuple[tuple[str, str, Handler, Admits], ...]] = (
    ("GET", "/v1/ping", ping, Admits.ANYONE),
    ("GET", "/v2/ping", ping, Admits.ANYONE),
    ("GET", "/v1/users/authenticate", authenticate, Admits.ACCOUNTS),
    ("GET", "/v2/users/authenticate", authenticate, Admits.ACCOUNTS),
    ("GET", "/v1/users/check_credentials", check_credentials, Admits.ACCOUNTS),
    ("GET", "/v2/users/check_credentials", check_credentials, Admits.ACCOUNTS),
)

_TABLE: Final[tuple[tuple[str, str, Handler, Callable[[Request], str], Action | Admits], ...]] = (
    ("GET", "/v2/conans/search", search_recipes, no_repository, Admits.READERS),
    ("GET", _R + "/latest", recipe_latest, no_recipe, Action.READ),
    ("GET", _R + "/revisions", recipe_revisions, no_recipe, Action.READ),
    ("GET", _R + "/search", search_packages, no_recipe, Action.READ),
    ("DELETE", _R, delete_recipe, no_recipe, Action.DELETE),
    ("GET", _RR + "/files", recipe_files, no_recipe, Action.READ),
    ("GET", _RR + "/files/{file:path}", download, no_file, Action.READ),
    ("PUT", _RR + "/files/{file:path}", upload, no_recipe, Action.WRITE),
    ("GET", _RR + "/search", search_packages, no_recipe, Action.READ),
    ("DELETE", _RR, delete_recipe_revision, no_recipe, Action.DELETE),
    ("DELETE", _RR + "/packages", delete_packages, no_packages, Action.DELETE),
    ("DELETE", _P, delete_package, no_package, Action.DELETE),
    ("GET", _P + "/latest", package_latest, no_package, Action.READ),
    ("GET", _P + "/revisions", package_revisions, no_package, Action.READ),
    ("DELETE", _PP, delete_package_revision, no_package_revision, Action.DELETE),
    ("GET", _PP + "/files", package_files, no_package_revision, Action.READ),
    ("GET", _PP + "/files/{file:path}", download, no_file, Action.READ),
    ("PUT", _PP + "/files/{file:path}", upload, no_recipe, Action.WRITE),
    ("GET", "/sources/{file}", get_source, no_file, Action.READ),
    ("PUT", "/sources/{file}", put_source, no_file, Action.WRITE),
)
