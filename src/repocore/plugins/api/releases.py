"""Releases: ``/api/v1/repositories/…/releases`` lists them, ``/api/v1/releases`` changes several.

What changes several does so in one transaction: all of them or none.  A release is named by its
partition and its name; of a channel these are the subdir and the file name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import takewhile
from typing import Annotated, Any, Self, cast

import attrs

from repocore.errors import InvalidRequestError, ReleaseMissingError
from repocore.http import Request, Response, Route
from repocore.model import Action, File, Release
from repocore.plugins.api.answering import plain, require_match, tagged
from repocore.plugins.api.describing import route
from repocore.plugins.api.files import FileView
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import address_of, read_body, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import Session

__all__ = [
    "CopiedFileView",
    "CopiedView",
    "DeletedView",
    "NamedRelease",
    "NamedReleases",
    "ReleaseDetailsView",
    "ReleaseView",
    "ReleasesCopy",
    "ReleasesQuery",
    "ReleasesView",
    "copy",
    "delete",
    "list_releases",
    "promote",
    "remove",
    "routes",
    "show",
    "unyank",
    "yank",
]


@attrs.frozen(kw_only=True)
class ReleaseView:
    """A release of a package."""

    partition: Annotated[str, "The list that it is in: of a channel the subdir."]
    name: Annotated[str, "Its name in there: of a channel the file name, of Conan the revision."]
    package: Annotated[str, "The package that it is of."]
    version: Annotated[str, "The version of the package."]
    released_at: Annotated[datetime, "When it was published."]
    yanked_at: Annotated[datetime | None, "When it was taken out of the lists; null is not."]

    @classmethod
    def of(cls, one: Release) -> Self:
        """A release as lists have it."""
        return cls(**{field.name: getattr(one, field.name) for field in attrs.fields(ReleaseView)})


@attrs.frozen(kw_only=True)
class ReleaseDetailsView(ReleaseView):
    """A release with what is in it."""

    record: Annotated[Mapping[str, Any], "What its format knows of it."] = attrs.field(
        factory=dict[str, Any]
    )
    files: Annotated[tuple[FileView, ...], "Its files, by path."] = ()


@attrs.frozen(kw_only=True)
class ReleasesQuery(PageQuery):
    """Which releases."""

    partition: Annotated[str | None, "Only those of a partition."] = None
    package: Annotated[str | None, "Only those of a package."] = None
    version: Annotated[str | None, "Only those of a version."] = None
    yanked: Annotated[bool | None, "Only those that are yanked, or that are not."] = None


@attrs.frozen(kw_only=True)
class NamedRelease:
    """The name of a release."""

    partition: Annotated[str, "Its partition: of a channel the subdir."]
    name: Annotated[str, "Its name: of a channel the file name."]


@attrs.frozen(kw_only=True)
class NamedReleases:
    """Releases that something is done to."""

    repository: Annotated[str, "The address of their repository, for example conda/main."]
    releases: Annotated[tuple[NamedRelease, ...], "Which; up to 500."]


@attrs.frozen(kw_only=True)
class ReleasesCopy(NamedReleases):
    """Releases that another repository is to have, too."""

    target: Annotated[str, "The address of the other repository."]


@attrs.frozen(kw_only=True)
class ReleasesView:
    """What became of releases."""

    releases: Annotated[tuple[ReleaseView, ...], "In the order in which they were named."]


@attrs.frozen(kw_only=True)
class DeletedView:
    """How much is gone."""

    deleted: Annotated[int, "How many releases."]


@attrs.frozen(kw_only=True)
class CopiedFileView:
    """A file of a copy."""

    path: Annotated[str, "Where it is."]
    sha256: Annotated[str, "The SHA-256 of its bytes, in hex."]
    size: Annotated[int, "How many bytes it has."]

    @classmethod
    def of(cls, file: File) -> Self:
        """A file as it is in the target."""
        return cls(path=str(file.path), sha256=file.digest, size=file.size)


@attrs.frozen(kw_only=True)
class CopiedView:
    """What a repository has now."""

    repository: Annotated[str, "Its address."]
    files: Annotated[tuple[CopiedFileView, ...], "The files of what was copied."]


def routes() -> Iterable[Route[Session]]:
    """Eight routes of the site."""
    top = "repositories/{format}/{name}/releases"
    one = f"{top}/{{release:path}}"
    listed = {200: Listing(ReleaseView)}
    yield route("GET", top, list_releases, Action.READ, query=ReleasesQuery, answers=listed)
    yield route("GET", one, show, Action.READ, answers={200: ReleaseDetailsView})
    yield route("DELETE", one, remove, Action.DELETE, answers={204: None})
    for handler, permission, body, answer in (
        (yank, Action.YANK, NamedReleases, ReleasesView),
        (unyank, Action.YANK, NamedReleases, ReleasesView),
        (delete, Action.DELETE, NamedReleases, DeletedView),
        (copy, Action.WRITE, ReleasesCopy, CopiedView),
        (promote, Action.PROMOTE, ReleasesCopy, CopiedView),
    ):
        path = f"releases/{handler.__name__}"
        yield route("POST", path, handler, permission, body=body, answers={200: answer})


# ------------------------------------------------------------------------------------ one by one


def list_releases(session: Session, request: Request) -> Response:
    """List the releases of a repository that one may read, by partition and name."""
    session.repositories.get(address_of(request))
    query = read_query(request, ReleasesQuery)
    page = page_of(session, query, str, str)
    found = _wanted(session, address_of(request), query, page.after or ("", ""))
    return answer_page(request, page, found, _pair, ReleaseView.of)


def _pair(one: Release) -> tuple[str, str]:
    return one.partition, one.name


def _wanted(
    session: Session, address: str, query: ReleasesQuery, after: tuple[Any, ...]
) -> Iterator[Release]:
    start = cast("tuple[str, str]", after)
    if query.partition is not None and start[0] != query.partition:
        start = (query.partition, "")
    found = session.releases.all(address, after=start)
    if query.partition is not None:
        found = takewhile(lambda one: one.partition == query.partition, found)
    for one in found:
        fits = (
            query.package in {None, one.package}
            and query.version in {None, one.version}
            and query.yanked in {None, one.yanked_at is not None}
        )
        if fits:
            yield one


def _named(request: Request) -> tuple[str, str]:
    """The partition, which may have several segments, and the name, which is the last."""
    partition, _, name = request.fields["release"].rpartition("/")
    if not partition:
        raise ReleaseMissingError
    return partition, name


def _details(session: Session, request: Request) -> ReleaseDetailsView:
    address, pair = address_of(request), _named(request)
    one = session.releases.get(address, *pair)
    files = session.releases.files(address, *pair)
    return ReleaseDetailsView(
        **{field.name: getattr(one, field.name) for field in attrs.fields(ReleaseView)},
        record=json.loads(one.record),
        files=tuple(FileView.of(request, file) for file in files),
    )


def show(session: Session, request: Request) -> Response:
    """Show a release, `partition/name`, with its files; a yanked one, too."""
    return tagged(request, _details(session, request))


def remove(session: Session, request: Request) -> Response:
    """Delete a release, `partition/name`, with its files and all that hangs on it."""
    require_match(request, lambda: _details(session, request))
    session.releases.delete(address_of(request), *_named(request))
    return Response(204)


# --------------------------------------------------------------------------------------- several


def yank(session: Session, request: Request) -> Response:
    """Take releases out of every list and index; whoever knows their names still gets them."""
    return _yank(session, request, yanked=True)


def unyank(session: Session, request: Request) -> Response:
    """Put yanked releases back into the lists and indexes."""
    return _yank(session, request, yanked=False)


def _yank(session: Session, request: Request, *, yanked: bool) -> Response:
    wanted = read_body(request, NamedReleases)
    found = session.releases.yank_all(wanted.repository, _pairs(wanted), yanked)
    view = ReleasesView(releases=tuple(ReleaseView.of(one) for one in found))
    return Response.json(plain(view))


def delete(session: Session, request: Request) -> Response:
    """Delete releases with their files."""
    wanted = read_body(request, NamedReleases)
    count = session.releases.delete_named(wanted.repository, _pairs(wanted))
    return Response.json(plain(DeletedView(deleted=count)))


def copy(session: Session, request: Request) -> Response:
    """Have releases in `target`, too; WRITE there is asked for, no bytes are moved."""
    return _copy(session, request, promote=False)


def promote(session: Session, request: Request) -> Response:
    """Copy releases to `target` with PROMOTE in the place of WRITE."""
    return _copy(session, request, promote=True)


def _copy(session: Session, request: Request, *, promote: bool) -> Response:
    wanted = read_body(request, ReleasesCopy)
    made = session.releases.copy(wanted.repository, _pairs(wanted), wanted.target, promote=promote)
    files = tuple(CopiedFileView.of(file) for file in made)
    return Response.json(plain(CopiedView(repository=wanted.target, files=files)))


def _pairs(wanted: NamedReleases) -> list[tuple[str, str]]:
    if not wanted.releases:
        raise InvalidRequestError(problems=("`releases` has to be a list of one or more.",))
    return [(one.partition, one.name) for one in wanted.releases]
