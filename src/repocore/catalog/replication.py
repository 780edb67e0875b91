"""What a replica asks of its primary's catalog: where everything is, and what changed since.

A partition's changes are asked for by serial: each release that came, changed or went has the
serial of its last change.  Which partitions that may be is known by the records of changes
(`repocore.catalog.sealed_records`), and so is what takes no serial, being of no partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
from sqlalchemy import Connection, Table, and_, case, or_, select, tuple_

from repocore.catalog import audit, dumping, numbering, tables
from repocore.model import BlobKey
from repocore.model.digest import NOWHERE

__all__ = [
    "ACCESS",
    "AccessPage",
    "FileState",
    "Position",
    "Reached",
    "ReleaseState",
    "Wanted",
    "access_page",
    "changes",
    "compared",
    "era",
    "held",
    "is_place",
    "loose_files",
    "partitions_page",
    "position",
]

_b = tables.blobs
_f = tables.files
_p = tables.partitions
_r = tables.releases
_x = tables.extras

#: The tables of who there is and what they may do, those that others refer to first.  Keys that
#: sign are not among them: whoever holds those can be anybody.
ACCESS: Final[tuple[Table, ...]] = (
    tables.repositories,
    tables.accounts,
    tables.groups,
    tables.tokens,
    tables.identities,
    tables.rules,
    tables.roles,
    tables.bindings,
    tables.spent,
)
#: What is counted by each installation for itself.
_UNCOUNTED: Final = frozenset({"bytes", "file_count"})
#: Bytes of records that one answer has, at most, and one release more.
_WEIGHT: Final = 8 << 20
#: Releases whose files are asked for at once.
_AT_ONCE: Final = 50


@attrs.frozen(kw_only=True)
class Position:
    """Where an installation is, by its own clock."""

    era: str
    moment: int
    #: The version of who may what.
    access: int
    #: The last record of changes that is sealed, and the root of its seal.
    record: int
    root: str
    #: The last number that was given to a row, by table.
    numbers: Mapping[str, int]


def era(connection: Connection) -> str:
    """What an installation is known by; a replica that was promoted has a new one."""
    return connection.scalar(select(tables.replication.c.era)) or ""


def position(connection: Connection) -> Position:
    """Where the installation is."""
    seal = audit.last_seal(connection)
    return Position(
        era=era(connection),
        moment=dumping.moment(connection),
        access=connection.scalar(select(tables.access.c.version)) or 0,
        record=0 if seal is None else seal.last,
        root="" if seal is None else seal.root,
        numbers=numbering.counted(connection),
    )


# -------------------------------------------------------------------------------------- who may


@attrs.frozen
class AccessPage:
    """Some rows of the tables of access, each with the name of its table."""

    version: int
    rows: Sequence[tuple[str, Mapping[str, Any]]]
    #: Where to go on: the number of a table, and the key of the row before; None at the end.
    following: tuple[int, tuple[Any, ...]] | None


def is_place(start: int, after: tuple[Any, ...]) -> bool:
    """Whether there may be such a key in a table of that number."""
    if not 0 <= start < len(ACCESS):
        return False
    kinds = [column.type.python_type for column in ACCESS[start].primary_key]
    return not after or [type(one) for one in after] == kinds


def access_page(
    connection: Connection, start: int, after: tuple[Any, ...], limit: int
) -> AccessPage:
    """The next rows, from behind a key of a table on."""
    version = connection.scalar(select(tables.access.c.version)) or 0
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for number in range(start, len(ACCESS)):
        table, left = ACCESS[number], limit - len(rows)
        key = [*table.primary_key]
        statement = select(*(c for c in table.c if c.name not in _UNCOUNTED)).order_by(*key)
        if after:
            statement = statement.where(tuple_(*key) > after)
        found = connection.execute(statement.limit(left + 1)).mappings().all()
        rows += [(table.name, dict(row)) for row in found[:left]]
        if len(found) > left:
            last = tuple(found[left - 1][c.name] for c in key) if left else after
            return AccessPage(version, rows, (number, last))
        after = ()
    return AccessPage(version, rows, None)


# -------------------------------------------------------------------------------------- content


@attrs.frozen(kw_only=True)
class FileState:
    """A file, and the sums of its bytes that somebody has needed."""

    path: str
    digest: str
    size: int
    sha1: str | None
    md5: str | None
    media_type: str
    mutable: bool
    created_at: int
    created_by: str


@attrs.frozen(kw_only=True)
class ReleaseState:
    """A release as it is, or a tombstone; times are in microseconds since 1970."""

    repository: int
    partition: str
    name: str
    package: str
    version: str
    sort_key: bytes
    parent: str | None
    serial: int
    changed: int
    released_at: int | None
    yanked_at: int | None
    removed_at: int | None
    record: bytes
    section: str
    extra: bytes
    files: tuple[FileState, ...] = ()


@attrs.frozen(kw_only=True)
class Wanted:
    """Which changes of a partition are asked for: those behind a serial.

    Where ``within`` is given, also those of that serial itself whose name comes behind it.
    """

    repository: int
    partition: str
    since: int
    within: str | None = None


@attrs.frozen(kw_only=True)
class Reached:
    """How far an answer comes with a partition; without a ``serial`` there is no such partition."""

    repository: int
    partition: str
    serial: int | None
    since: int
    within: str | None
    #: Whether everything up to the serial is there.
    whole: bool


def partitions_page(
    connection: Connection, after: tuple[int, str], limit: int
) -> list[tuple[int, str, int]]:
    """(repository, partition, serial) of the next partitions, in that order."""
    statement = (
        select(_p.c.repository_id, _p.c.name, _p.c.serial)
        .where(tuple_(_p.c.repository_id, _p.c.name) > after)
        .order_by(_p.c.repository_id, _p.c.name)
        .limit(limit)
    )
    return [tuple(row) for row in connection.execute(statement)]


def compared(
    connection: Connection, named: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], int]:
    """The serials of those of these partitions that there are."""
    found: dict[tuple[int, str], int] = {}
    own: dict[int, list[str]] = {}
    for repository, name in named:
        own.setdefault(repository, []).append(name)
    for repository, names in own.items():
        for start in range(0, len(names), 500):
            mine = _p.c.name.in_(names[start : start + 500])
            statement = select(_p.c.name, _p.c.serial).where(_p.c.repository_id == repository, mine)
            found |= {(repository, row.name): row.serial for row in connection.execute(statement)}
    return found


def changes(
    connection: Connection, wanted: Sequence[Wanted], limit: int
) -> tuple[list[ReleaseState], list[Reached]]:
    """What changed in some partitions, and how far that comes; all of it of one snapshot.

    About as many releases and files as the limit says, and one release at least.
    """
    releases: list[ReleaseState] = []
    reached: list[Reached] = []
    room, weight = limit, _WEIGHT
    serials = compared(connection, [(one.repository, one.partition) for one in wanted])
    for one in wanted:
        serial = serials.get((one.repository, one.partition))
        since, within, whole = one.since, one.within, serial is None
        while not whole and room > 0 and weight > 0:
            found = _changed(connection, one, since, within, min(room, _AT_ONCE))
            releases += found
            room -= sum(1 + len(state.files) for state in found)
            weight -= sum(len(state.record) + len(state.extra) for state in found)
            if found:
                since, within = found[-1].changed, found[-1].name
            whole = not found
        if whole:
            since, within = serial or 0, None
        reached.append(
            Reached(
                repository=one.repository,
                partition=one.partition,
                serial=serial,
                since=since,
                within=within,
                whole=whole,
            )
        )
    return releases, reached


def _changed(
    connection: Connection, wanted: Wanted, since: int, within: str | None, limit: int
) -> list[ReleaseState]:
    later = _r.c.changed > since
    if within is not None:
        later = or_(later, and_(_r.c.changed == since, _r.c.name > within))
    beside = (
        (_x.c.repository_id == _r.c.repository_id)
        & (_x.c.partition == _r.c.partition)
        & (_x.c.name == _r.c.name)
    )
    statement = (
        select(_r, _x.c.extra)
        .outerjoin(_x, beside)
        .where(_r.c.repository_id == wanted.repository, _r.c.partition == wanted.partition)
        # Drafts are nobody's business; one over a tombstone is that still.
        .where(later, _r.c.released_at.is_not(None) | _r.c.removed_at.is_not(None))
        .order_by(_r.c.changed, _r.c.name)
        .limit(limit)
    )
    rows = connection.execute(statement).all()
    seen = [row.name for row in rows if row.removed_at is None]
    files = _files_of(connection, wanted.repository, wanted.partition, seen)
    return [_state_of(row, files.get(row.name, ())) for row in rows]


def _state_of(row: Any, files: Iterable[FileState]) -> ReleaseState:
    gone = row.removed_at is not None
    return ReleaseState(
        repository=row.repository_id,
        partition=row.partition,
        name=row.name,
        package=row.package,
        version=row.version,
        sort_key=row.sort_key,
        parent=row.parent,
        serial=row.serial,
        changed=row.changed,
        released_at=row.released_at,
        yanked_at=row.yanked_at,
        removed_at=row.removed_at,
        record=b"{}" if gone else row.record,
        section=row.section,
        extra=b"" if gone else row.extra or b"",
        files=tuple(files),
    )


_file = (
    _f.c.path,
    _f.c.digest,
    _f.c.size,
    _b.c.sha1,
    _b.c.md5,
    _f.c.media_type,
    _f.c.mutable,
    _f.c.created_at,
    _f.c.created_by,
)


def _file_of(row: Any) -> FileState:
    return FileState(
        path=row.path,
        digest=row.digest,
        size=row.size,
        sha1=row.sha1,
        md5=row.md5,
        media_type=row.media_type,
        mutable=bool(row.mutable),
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _files_of(
    connection: Connection, repository: int, partition: str, names: Sequence[str]
) -> dict[str, list[FileState]]:
    if not names:
        return {}
    statement = (
        select(*_file, _f.c.release)
        .join(_b, _b.c.digest == _f.c.digest)
        .where(_f.c.repository_id == repository, _f.c.partition == partition)
        .where(_f.c.release.in_(names))
    )
    found: dict[str, list[FileState]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.release, []).append(_file_of(row))
    return {name: sorted(files, key=lambda one: one.path) for name, files in found.items()}


def loose_files(connection: Connection, repository: int, after: str, limit: int) -> list[FileState]:
    """The next files of a repository that are of no release, by path."""
    statement = (
        select(*_file)
        .join(_b, _b.c.digest == _f.c.digest)
        .where(_f.c.repository_id == repository, _f.c.partition.is_(None), _f.c.path > after)
        .order_by(_f.c.path)
        .limit(limit)
    )
    return [_file_of(row) for row in connection.execute(statement)]


def held(connection: Connection, digest: str) -> tuple[BlobKey, int] | None:
    """Where the bytes lie that some file has, and how many they are; None where none has them.

    What is in quarantine lies nowhere: to open its key raises `BlobMissingError`.
    """
    lost = case((_b.c.stored_at.is_(None), NOWHERE), else_=_b.c.generation)
    statement = select(lost.label("generation"), _b.c.size).where(
        _b.c.digest == digest, select(_f.c.id).where(_f.c.digest == digest).exists()
    )
    row = connection.execute(statement).first()
    return None if row is None else (BlobKey(digest, row.generation), row.size)
