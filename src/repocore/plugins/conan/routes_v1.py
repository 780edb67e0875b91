"""The Conan protocol without revisions (v1): what the 1.x client calls by default.

It reads the newest revision of a recipe and of a package, and writes revision 0 of both.  Files
travel by signed URLs; `transfers` has these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

import attrs

from repocore.errors import (
    FileMissingError,
    InvalidPathError,
    RejectedError,
    ReleaseMissingError,
    TooLargeError,
)
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action, File, FilePath, Resource
from repocore.plugins.conan import transfers
from repocore.plugins.conan.asking import (
    Handler,
    announced_by,
    conan_route,
    finding,
    no_file,
    no_recipe,
    no_repository,
    recipe_of,
)
from repocore.plugins.conan.paths import REVISION, ConanFile
from repocore.plugins.conan.references import ConanReference, PackageReference, check_id
from repocore.plugins.conan.routes_v2 import delete_recipe, search_recipes
from repocore.plugins.conan.search import packages
from repocore.plugins.conan.transfers import Download, Upload
from repocore.registry import Session

__all__ = [
    "delete_packages",
    "digest",
    "download_urls",
    "fetch",
    "remove_files",
    "routes",
    "search_packages",
    "send",
    "snapshot",
    "upload_urls",
]

_R: Final = "/v1/conans/{name}/{version}/{user}/{channel}"
_P: Final = _R + "/packages/{package_id}"
_MANIFEST: Final = "conanmanifest.txt"
#: A list of files, or of packages to delete, takes some kilobytes.
_MOST: Final = 4 << 20
_OK: Final = Response(200)


@attrs.frozen
class _Revision:
    """The newest revision of a recipe, or of a package of it."""

    session: Session
    repository: str
    recipe: ConanReference
    rrev: str
    package_id: str | None = None
    prev: str | None = None

    @classmethod
    def of(
        cls, session: Session, repository: str, recipe: ConanReference, package_id: str | None
    ) -> _Revision:
        """Raises `ReleaseMissingError` where there is none."""
        rrev = session.releases.newest(repository, recipe.partition)[0]
        if package_id is None:
            return cls(session, repository, recipe, rrev)
        partition = PackageReference(recipe, rrev, package_id).partition
        prev = session.releases.newest(repository, partition)[0]
        return cls(session, repository, recipe, rrev, package_id, prev)

    @classmethod
    def asked(cls, session: Session, request: Request) -> _Revision:
        """The one that a request is about."""
        package_id = request.fields.get("package_id")
        return cls.of(session, request.repository, recipe_of(request), package_id)

    @property
    def first(self) -> bool:
        """Whether it is the one that this protocol writes."""
        return self.rrev == REVISION and self.prev in {None, REVISION}

    def file(self, name: str) -> ConanFile:
        """One of its files; raises `InvalidPathError` for a name that it cannot have."""
        parts = tuple(name.split("/"))
        return ConanFile(self.recipe, self.rrev, parts, self.package_id, self.prev)

    def files(self) -> dict[str, File]:
        """Its files by name, without metadata, of which these clients know nothing."""
        partition, release, depth = self.recipe.partition, self.rrev, 6
        if self.package_id is not None and self.prev is not None:
            package = PackageReference(self.recipe, self.rrev, self.package_id)
            partition, release, depth = package.partition, self.prev, 8
        found = self.session.releases.files(self.repository, partition, release)
        return {"/".join(f.path.parts[depth:]): f for f in found if not f.mutable}


def snapshot(session: Session, request: Request) -> Response:
    """The files of the newest revision, with their md5."""
    files = _Revision.asked(session, request).files()
    sums = {
        name: session.files.checksums(request.repository, file.path, "md5").md5
        for name, file in files.items()
    }
    return Response.json(sums)


def digest(session: Session, request: Request) -> Response:
    """A signed URL of the manifest of the newest revision."""
    return _urls(session, request, lambda name: name == _MANIFEST)


def download_urls(session: Session, request: Request) -> Response:
    """A signed URL of each file of the newest revision."""
    return _urls(session, request, lambda _name: True)


def _urls(session: Session, request: Request, wanted: Callable[[str], bool]) -> Response:
    files = {n: f for n, f in _Revision.asked(session, request).files().items() if wanted(n)}
    if not files:
        raise ReleaseMissingError
    what = [Download(path=str(file.path)) for file in files.values()]
    return Response.json(dict(zip(files, transfers.signed(session, request, what), strict=True)))


def upload_urls(session: Session, request: Request) -> Response:
    """A signed URL for each file that is to be sent: all of them become revision 0, at once.

    What the newest revision has beside them is taken over: the client leaves out what is there.
    """
    session.require(Action.WRITE, _resource(request))
    sizes = _sizes(_body(request))
    package_id = request.fields.get("package_id")
    prev = None if package_id is None else REVISION
    recipe = recipe_of(request)
    target = {
        name: ConanFile(recipe, REVISION, tuple(name.split("/")), package_id, prev)
        for name in sizes
    }
    number = transfers.upload_number()
    places = {name: str(transfers.place(number, file)) for name, file in target.items()}
    moves = {places[name]: str(file.path) for name, file in target.items()}
    moves |= _kept(session, request, set(moves.values()))
    what = [
        Upload(path=places[name], size=size, moves=tuple(moves.items()))
        for name, size in sizes.items()
    ]
    return Response.json(dict(zip(sizes, transfers.signed(session, request, what), strict=True)))


def _resource(request: Request) -> Resource:
    recipe = recipe_of(request)
    kind, _, name = request.repository.partition("/")
    return Resource(kind, name, recipe.name, recipe.full_version)


def _kept(session: Session, request: Request, sent: set[str]) -> dict[str, str]:
    """What of the newest revision becomes a part of revision 0, from where to where.

    A package needs its recipe in revision 0, too.  Raises `ReleaseMissingError` where a package
    has no recipe.
    """
    kept: dict[str, str] = {}
    recipe, package_id = recipe_of(request), request.fields.get("package_id")
    for wanted in dict.fromkeys((None, package_id)):
        try:
            found = _Revision.of(session, request.repository, recipe, wanted)
        except ReleaseMissingError:
            if wanted is None and package_id is not None:
                raise
            continue
        if found.first:
            continue
        for file in found.files().values():
            to = str(_as_first(file.path))
            if to not in sent:
                kept[str(file.path)] = to
    return kept


def _as_first(path: FilePath) -> FilePath:
    """The path of the same file in revision 0."""
    parts = list(path.parts)
    parts[4] = REVISION
    if parts[5] == "package":
        parts[7] = REVISION
    return FilePath(tuple(parts))


def send(session: Session, request: Request) -> Response:
    """Store a file by its signed URL; with the last of its upload all become visible."""
    acting, upload = transfers.opened(session, request)
    if not isinstance(upload, Upload):
        raise FileMissingError
    transfers.check_size(upload, request.length)
    acting.files.put(
        request.repository,
        upload.path,
        request.body,
        length=upload.size,
        announced=announced_by(request),
    )
    acting.files.rebind(request.repository, upload.binds())
    return _OK


def fetch(session: Session, request: Request) -> Response:
    """The bytes of a file by its signed URL."""
    acting, download = transfers.opened(session, request)
    if not isinstance(download, Download):
        raise FileMissingError
    return Response(200, acting.files.content(request.repository, download.path))


def remove_files(session: Session, request: Request) -> Response:
    """Delete files that the newest revision does without; those that are not there are no error."""
    session.require(Action.DELETE, _resource(request))
    found = _Revision.asked(session, request)
    for name in _names(_body(request), "files"):
        try:
            session.files.delete(request.repository, found.file(name).path)
        except FileMissingError:
            continue
    return _OK


def search_packages(session: Session, request: Request) -> Response:
    """The packages of all recipe revisions; of one that is in several, the newest's."""
    partition = recipe_of(request).partition
    names = session.releases.names(request.repository, partition)
    if not names:
        raise ReleaseMissingError
    found: dict[str, Any] = {}
    for rrev, _ in names:
        children = session.releases.children(request.repository, partition, rrev)
        found = packages(children, names_only=False, parsed=True) | found
    return Response.json(dict(sorted(found.items())))


def delete_packages(session: Session, request: Request) -> Response:
    """Delete packages of all recipe revisions: those that are named, or all."""
    recipe = recipe_of(request)
    session.require(Action.DELETE, _resource(request))
    wanted = [check_id("package id", name) for name in _names(_body(request), "package_ids")]
    releases = session.releases
    count = 0
    for rrev, _ in releases.names(request.repository, recipe.partition):
        if not wanted:
            count += releases.delete_children(request.repository, recipe.partition, rrev)
        for package_id in wanted:
            package = PackageReference(recipe, rrev, package_id)
            count += releases.delete_all(request.repository, package.partition)
    if not count:
        raise ReleaseMissingError
    return _OK


# ----------------------------------------------------------------------------------- JSON bodies


def _body(request: Request) -> dict[str, Any]:
    try:
        return request.json(most=_MOST)
    except TooLargeError:
        raise
    except RejectedError as error:  # the clients of Conan 1 know 400
        raise InvalidPathError(str(error)) from error


def _sizes(body: dict[str, Any]) -> dict[str, int]:
    for name, size in body.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            message = f"The size of {name!r} is not a number of bytes."
            raise InvalidPathError(message)
    return body


def _names(body: dict[str, Any], key: str) -> Sequence[str]:
    names = body.get(key)
    if not isinstance(names, list) or not all(
        isinstance(name, str) for name in cast("list[Any]", names)
    ):
        message = f"The body has no list of texts {key!r}."
        raise InvalidPathError(message)
    return cast("list[str]", names)


def _no_package(request: Request) -> str:
    partition = recipe_of(request).partition
    return f"Binary package not found: '{partition}:{request.fields['package_id']}'"


_TABLE: Final[tuple[tuple[str, str, Handler, Callable[[Request], str], Action | Admits], ...]] = (
    ("GET", "/v1/conans/search", search_recipes, no_repository, Admits.READERS),
    ("GET", _R, snapshot, no_recipe, Action.READ),
    ("GET", _R + "/digest", digest, no_recipe, Action.READ),
    ("GET", _R + "/download_urls", download_urls, no_recipe, Action.READ),
    ("POST", _R + "/upload_urls", upload_urls, no_recipe, Action.WRITE),
    ("DELETE", _R, delete_recipe, no_recipe, Action.DELETE),
    ("POST", _R + "/remove_files", remove_files, no_recipe, Action.DELETE),
    ("GET", _R + "/search", search_packages, no_recipe, Action.READ),
    ("POST", _R + "/packages/delete", delete_packages, no_recipe, Action.DELETE),
    ("GET", _P, snapshot, _no_package, Action.READ),
    ("GET", _P + "/digest", digest, _no_package, Action.READ),
    ("GET", _P + "/download_urls", download_urls, _no_package, Action.READ),
    ("POST", _P + "/upload_urls", upload_urls, _no_package, Action.WRITE),
    ("GET", "/v1/files/{file:path}", fetch, no_file, Action.READ),
    ("PUT", "/v1/files/{file:path}", send, no_file, Action.WRITE),
)


def routes() -> Iterator[Route[Session]]:
    """The routes of a Conan repository for clients without revisions."""
    for method, template, handler, missing, permission in _TABLE:
        yield conan_route(method, template, finding(handler, missing), permission)
