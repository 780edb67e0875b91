"""``/api/v1/replication``: what another installation needs to follow this one.

Bytes of the catalog stand in Base64; times are in microseconds since 1970, as the catalog has
them, because the copy is to be the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Self, cast

import attrs

from repocore.errors import FileMissingError, InvalidRequestError
from repocore.http import Request, Response, Route
from repocore.model import Action
from repocore.plugins.api.answering import plain, tagged, tagged_but
from repocore.plugins.api.describing import route
from repocore.plugins.api.paging import answer_page, cursor_of, page_of
from repocore.plugins.api.reading import number_of, read_body, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import FileState, ReleaseState, Session, Wanted

__all__ = [
    "AccessPageView",
    "AccessRowView",
    "ChangesView",
    "ChangesWanted",
    "CountsQuery",
    "PartitionView",
    "PositionQuery",
    "PositionView",
    "ReachedView",
    "RecordsPageView",
    "ReplicatedFileView",
    "ReplicatedReleaseView",
    "WantedPartition",
    "access",
    "changes",
    "content",
    "counts",
    "files",
    "partitions",
    "position",
    "records",
    "routes",
]

#: What the routes speak; a replica asks nobody who speaks another one.
PROTOCOL: Final = 1


@attrs.frozen(kw_only=True)
class PositionQuery:
    """What the replica has."""

    record: Annotated[int, "The last record of changes that it has."] = 0
    root: Annotated[str, "The root of its seal."] = ""
    followed: Annotated[
        int | None, "The record whose changes it has, where that is an earlier."
    ] = None


@attrs.frozen(kw_only=True)
class PositionView:
    """Where the installation is."""

    protocol: Annotated[int, "What these routes speak."]
    era: Annotated[str, "What its history is known by; a replica that was promoted has a new one."]
    moment: Annotated[int, "Its clock."]
    access: Annotated[int, "The version of accounts, rules and repositories."]
    record: Annotated[int, "The last record of changes that is sealed."]
    root: Annotated[str, "The root of its seal."]
    numbers: Annotated[Mapping[str, int], "The last number that was given to a row, by table."]
    page: Annotated[int, "How many entries a page has at most, and partitions' changes."]
    ours: Annotated[bool, "Whether the seal that the replica named is of this history."]
    untaken: Annotated[int, "How many records the replica has not."]
    untaken_at: Annotated[int | None, "When the first of them was written."]


@attrs.frozen(kw_only=True)
class AccessRowView:
    """A row of who there is and what they may do."""

    table: Annotated[str, "The table that it is of."]
    row: Annotated[Mapping[str, Any], "Its columns."]


@attrs.frozen(kw_only=True)
class AccessPageView:
    """Some rows of the tables of access."""

    version: Annotated[int, "What the rows are of; begin anew where it is another than before."]
    items: Annotated[tuple[AccessRowView, ...], "The rows."]
    next: Annotated[str | None, "The cursor of the next page."]


@attrs.frozen(kw_only=True)
class PartitionView:
    """A partition of a repository."""

    repository: Annotated[int, "The number of the repository."]
    partition: Annotated[str, "Its name."]
    serial: Annotated[int, "The serial of its last change."]


@attrs.frozen(kw_only=True)
class WantedPartition:
    """From where on the changes of a partition are wanted."""

    repository: Annotated[int, "The number of the repository."]
    partition: Annotated[str, "Its name."]
    since: Annotated[int, "Changes behind that serial; 0 is all there is."] = 0
    within: Annotated[str | None, "Also of that serial itself, behind that name."] = None


@attrs.frozen(kw_only=True)
class ChangesWanted:
    """Which changes are wanted."""

    partitions: Annotated[tuple[WantedPartition, ...], "Up to 100 partitions."]


@attrs.frozen(kw_only=True)
class ReplicatedFileView:
    """A file, and the sums of its bytes as far as they are known."""

    path: Annotated[str, "Where it is in the repository."]
    sha256: Annotated[str, "By which its bytes are fetched."]
    size: Annotated[int, "How many they are."]
    sha1: Annotated[str | None, "Their SHA-1."]
    md5: Annotated[str | None, "Their MD5."]
    media_type: Annotated[str, "What it is."]
    mutable: Annotated[bool, "Whether it may get other bytes."]
    created_at: Annotated[int, "When it got these."]
    created_by: Annotated[str, "Who sent them."]

    @classmethod
    def of(cls, one: FileState) -> Self:
        """A file as the catalog has it."""
        return cls(sha256=one.digest, **{n: getattr(one, n) for n in _names(cls) - {"sha256"}})


@attrs.frozen(kw_only=True)
class ReplicatedReleaseView:
    """A release with its files, or what is left of one that was deleted."""

    repository: Annotated[int, "The number of the repository."]
    partition: Annotated[str, "The partition that orders it."]
    name: Annotated[str, "Its name in there."]
    package: Annotated[str, "The package that it is of."]
    version: Annotated[str, "Its version."]
    sort_key: Annotated[str, "The place of the version, in Base64."]
    parent: Annotated[str | None, "The release that it hangs on."]
    serial: Annotated[int, "Its place in the partition."]
    changed: Annotated[int, "The serial of its last change."]
    released_at: Annotated[int | None, "When it was published."]
    yanked_at: Annotated[int | None, "When it was taken out of lists."]
    removed_at: Annotated[int | None, "When it was deleted."]
    record: Annotated[str, "What its format says of it, in Base64."]
    section: Annotated[str, "The list of a document that it is in."]
    extra: Annotated[str, "Bytes beside the record, in Base64."]
    files: Annotated[tuple[ReplicatedFileView, ...], "Its files."]

    @classmethod
    def of(cls, one: ReleaseState) -> Self:
        """A release as the catalog has it."""
        written = {
            name: base64.b64encode(getattr(one, name)).decode()
            for name in ("sort_key", "record", "extra")
        }
        rest = {name: getattr(one, name) for name in _names(cls) - {*written, "files"}}
        return cls(files=tuple(map(ReplicatedFileView.of, one.files)), **written, **rest)


@attrs.frozen(kw_only=True)
class ReachedView:
    """How far the answer comes with a partition."""

    repository: Annotated[int, "The number of the repository."]
    partition: Annotated[str, "Its name."]
    serial: Annotated[int | None, "Its serial; null where there is no such partition."]
    since: Annotated[int, "Where to go on."]
    within: Annotated[str | None, "Where to go on, within that serial."]
    whole: Annotated[bool, "Whether everything up to the serial is there."]


@attrs.frozen(kw_only=True)
class ChangesView:
    """What changed in some partitions; all of it at one moment."""

    releases: Annotated[tuple[ReplicatedReleaseView, ...], "Releases, in the order of changes."]
    partitions: Annotated[tuple[ReachedView, ...], "How far that comes with each partition."]


@attrs.frozen(kw_only=True)
class RecordsPageView:
    """Some records of changes, and the seals that end among them."""

    items: Annotated[tuple[Mapping[str, Any], ...], "The records as the catalog has them."]
    seals: Annotated[tuple[Mapping[str, Any], ...], "The seals."]
    next: Annotated[str | None, "The cursor of the next page."]


@attrs.frozen(kw_only=True)
class CountsQuery(PageQuery):
    """Which counts of downloads."""

    since: Annotated[int, "Only those that grew since that time."] = 0


def _names(kind: type) -> set[str]:
    return {field.name for field in attrs.fields(cast("Any", kind))}


def routes() -> Iterable[Route[Session]]:
    """Eight routes of the site."""
    own = Action.REPLICATE
    top = "replication"
    yield route("GET", top, position, own, query=PositionQuery, answers={200: PositionView})
    for name, handler, answer in (
        ("access", access, AccessPageView),
        ("partitions", partitions, Listing(PartitionView)),
        ("records", records, RecordsPageView),
        ("repositories/{number}/files", files, Listing(ReplicatedFileView)),
    ):
        yield route("GET", f"{top}/{name}", handler, own, query=PageQuery, answers={200: answer})
    yield route(
        "POST",
        "replication/changes",
        changes,
        own,
        body=ChangesWanted,
        answers={200: ChangesView},
    )
    yield route(
        "GET",
        "replication/downloads",
        counts,
        own,
        query=CountsQuery,
        answers={200: "application/json"},
    )
    yield route(
        "GET",
        "replication/content/{sha256}",
        content,
        own,
        answers={200: "application/octet-stream"},
    )


def position(session: Session, request: Request) -> Response:
    """Tell where the installation is, and how much of that a replica has not."""
    found = session.replication.position()
    query = read_query(request, PositionQuery)
    followed = query.record if query.followed is None else query.followed
    count, first = session.replication.untaken(followed)
    view = PositionView(
        protocol=PROTOCOL,
        page=session.registry.settings.limits.page,
        ours=session.replication.is_ours(query.record, query.root),
        untaken=count,
        untaken_at=first,
        **attrs.asdict(found, recurse=False),
    )
    return tagged_but(request, view, moment=0)


def access(session: Session, request: Request) -> Response:
    """List repositories, accounts and what they may do, hashes of secrets included."""
    session.replication.require()
    page = page_of(session, read_query(request, PageQuery), int, str)
    start, after = (page.after[0], _key(page.after[1])) if page.after else (0, ())
    found = session.replication.access(start, after, page.limit)
    following = found.following
    view = AccessPageView(
        version=found.version,
        items=tuple(AccessRowView(table=table, row=row) for table, row in found.rows),
        next=None if following is None else cursor_of((following[0], json.dumps(following[1]))),
    )
    return tagged(request, view)


def _key(text: str) -> tuple[Any, ...]:
    try:
        key = json.loads(text)
    except ValueError:
        key = None
    if not isinstance(key, list) or not all(type(one) in {str, int} for one in cast("Any", key)):
        raise InvalidRequestError(problems=("`cursor` is none of this list; begin anew.",))
    return tuple(cast("list[Any]", key))


def partitions(session: Session, request: Request) -> Response:
    """List the partitions of all repositories, with their serials."""
    session.replication.require()
    page = page_of(session, read_query(request, PageQuery), int, str)
    after = (page.after[0], page.after[1]) if page.after else (0, "")
    found = session.replication.partitions(after, page.limit)
    return answer_page(
        request,
        page,
        found,
        lambda one: one[:2],
        lambda one: PartitionView(repository=one[0], partition=one[1], serial=one[2]),
    )


def changes(session: Session, request: Request) -> Response:
    """Tell what changed in some partitions since their serials, deletions included.

    An answer has an end: ask again for what is not whole, from where it says.
    """
    session.replication.require()
    wanted = read_body(request, ChangesWanted)
    asked = [Wanted(**attrs.asdict(one)) for one in wanted.partitions]
    releases, reached = session.replication.changes(asked)
    view = ChangesView(
        releases=tuple(map(ReplicatedReleaseView.of, releases)),
        partitions=tuple(ReachedView(**attrs.asdict(one)) for one in reached),
    )
    return Response.json(plain(view))


def files(session: Session, request: Request) -> Response:
    """List the files of a repository that are of no release."""
    session.replication.require()
    page = page_of(session, read_query(request, PageQuery), str)
    number = number_of(request, FileMissingError())
    after = page.after[0] if page.after else ""
    found = session.replication.loose_files(number, after, page.limit)
    return answer_page(request, page, found, lambda one: (one.path,), ReplicatedFileView.of)


def records(session: Session, request: Request) -> Response:
    """List the records of changes that are sealed, the oldest first, and their seals."""
    session.replication.require()
    page = page_of(session, read_query(request, PageQuery), int)
    after = page.after[0] if page.after else 0
    found, seals = session.replication.records(after, page.limit)
    view = RecordsPageView(
        items=tuple(found),
        seals=tuple(seals),
        next=cursor_of((found[-1]["id"],)) if len(found) == page.limit else None,
    )
    return tagged(request, view)


def counts(session: Session, request: Request) -> Response:
    """List the counts of downloads by release and day."""
    session.replication.require()
    query = read_query(request, CountsQuery)
    page = page_of(session, query, int, str, str, int)
    found = session.replication.downloads(query.since, page.after or (), page.limit)
    names = ("repository_id", "partition", "release", "day")
    return answer_page(request, page, found, lambda one: tuple(one[n] for n in names), dict)


def content(session: Session, request: Request) -> Response:
    """Send the bytes that some file has, by their SHA-256; ranges work."""
    return Response(200, session.replication.content(request.fields["sha256"]))
