"""Queries on documents: what they are made from, and the transaction that publishes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, and_, delete, func, select, update

from repocore.catalog import blobs, tables
from repocore.catalog.dialects import Dialect, now
from repocore.catalog.statements import Insert, Statement, columns
from repocore.catalog.transactions import Transaction
from repocore.model import BlobKey

__all__ = [
    "Generation",
    "Made",
    "add",
    "behind",
    "changed",
    "current",
    "find",
    "forget_superseded",
    "generation",
    "listed",
    "members",
    "partitions",
    "publish",
    "records",
    "renew",
    "serial",
    "withdrawn",
]

_r = tables.releases
_p = tables.partitions
_g = tables.generations
_d = tables.documents
_x = tables.extras

#: Rows that are read at a time; with their records they take about a megabyte.
_CHUNK = 1000
_AT_ONCE = 500

_listed = and_(_r.c.released_at.is_not(None), _r.c.removed_at.is_(None), _r.c.yanked_at.is_(None))

# By hand, because building a row object for each would take longer than the query.
_RECORDS = """
SELECT name, section, released_at, record FROM releases
WHERE repository_id = ? AND partition = ?
AND released_at IS NOT NULL AND removed_at IS NULL AND yanked_at IS NULL
ORDER BY name
"""

_TIMES = "count(*) {which}, min(released_at) {which}, max(released_at) {which}, "
_THOSE = "FILTER (WHERE section = ?)"
_MEMBERS = """
SELECT max(name), min(section), max(section), {columns} FROM (
  SELECT name, section, released_at, record FROM releases
  WHERE repository_id = ? AND partition = ? AND name > ?
  AND released_at IS NOT NULL AND removed_at IS NULL AND yanked_at IS NULL
  ORDER BY name LIMIT ?) r
"""

_LISTED = """
SELECT r.name, r.package, r.version, r.section, r.released_at, r.record, x.extra FROM releases r
LEFT JOIN extras x ON x.repository_id = r.repository_id
 AND x.partition = r.partition AND x.name = r.name
WHERE r.repository_id = ? AND r.partition = ?
AND r.released_at IS NOT NULL AND r.removed_at IS NULL AND r.yanked_at IS NULL
AND r.parent IS NULL
"""
_ALL = _LISTED + "ORDER BY r.package_key, r.package, r.name"
_SOME = (
    _LISTED.replace("releases r\n", "releases r INDEXED BY releases_package\n")
    + "AND r.package_key = ? AND r.package = ? ORDER BY r.name"
)

_WITHDRAWN = """
SELECT package, name FROM releases INDEXED BY releases_withdrawn
WHERE repository_id = ? AND partition = ? AND (removed_at IS NOT NULL OR yanked_at IS NOT NULL)
ORDER BY name
"""


@attrs.frozen(kw_only=True)
class Generation:
    """What one kind of documents of a partition is made from."""

    repository: int
    partition: str
    kind: str
    serial: int
    variant: str


@attrs.frozen(kw_only=True)
class Made:
    """A document that was made; its bytes are in ``content``, or in the storage under ``key``."""

    path: str
    media_type: str
    immutable: bool
    digest: str
    size: int
    content: bytes | None
    key: BlobKey | None


def serial(connection: Connection, repository: int, partition: str) -> int | None:
    """The partition's serial, or None where it never had a release; of ``""`` the sum of all."""
    if not partition:
        total = func.coalesce(func.sum(_p.c.serial), 0)
        return int(
            connection.execute(select(total).where(_p.c.repository_id == repository)).scalar_one()
        )
    mine = (_p.c.repository_id == repository) & (_p.c.name == partition)
    return connection.scalar(select(_p.c.serial).where(mine))


def partitions(connection: Connection, repository: int) -> list[str]:
    """The names of a repository's partitions that ever had a release, in order."""
    mine = (_p.c.repository_id == repository) & (_p.c.serial > 0)
    return list(connection.execute(select(_p.c.name).where(mine).order_by(_p.c.name)).scalars())


def generation(
    connection: Connection, repository: int, partition: str, kind: str
) -> Generation | None:
    """What a kind of documents was made from last."""
    row = connection.execute(
        select(_g.c.serial, _g.c.variant).where(
            _g.c.repository_id == repository, _g.c.partition == partition, _g.c.kind == kind
        )
    ).first()
    if row is None:
        return None
    return Generation(
        repository=repository,
        partition=partition,
        kind=kind,
        serial=row.serial,
        variant=row.variant,
    )


def behind(connection: Connection) -> list[tuple[int, str, str, int]]:
    """(repository, partition, kind, serial) of what was made once and has changed since."""
    mine = _g.c.repository_id == _p.c.repository_id
    named = select(_g.c.repository_id, _g.c.partition, _g.c.kind, _p.c.serial).where(
        mine, _g.c.partition == _p.c.name, _g.c.serial < _p.c.serial
    )
    key = (_g.c.repository_id, _g.c.partition, _g.c.kind)
    total = func.sum(_p.c.serial)
    whole = (
        select(*key, total)
        .where(mine, _g.c.partition == "")
        .group_by(*key, _g.c.serial)
        .having(total > _g.c.serial)
    )
    rows = [*connection.execute(named), *connection.execute(whole)]
    return [(row[0], row[1], row[2], int(row[3])) for row in rows]


def records(
    dialect: Dialect, connection: Connection, repository: int, partition: str
) -> Iterator[Sequence[tuple[str, str, int, bytes]]]:
    """(name, section, released_at, record) of the listed releases by name, in chunks."""
    return dialect.stream(connection, _RECORDS, (repository, partition), _CHUNK)


def members(
    dialect: Dialect,
    connection: Connection,
    repository: int,
    partition: str,
    cuts: Mapping[str, int],
    stamp: str,
) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The columns of `Members` but the section, for each section, in chunks.

    One row for a thousand: a row that Python takes costs more than one that the database joins,
    and nothing else of the process has to wait meanwhile.  The first section is asked for alone
    while there is no other, as nearly always.
    """
    after, mine, key = "", (repository, partition), f',"{stamp}":'
    first, nothing = next(iter(cuts)), (0, None, None, None)
    name = "name" if not cuts[first] else f"substr(name, 1, length(name) - {cuts[first]:d})"
    alone = _MEMBERS.format(columns=_columns(dialect, name, ""))
    each = [(f"substr(name, 1, length(name) - {cut:d})", _THOSE) for cut in cuts.values()]
    apart = _MEMBERS.format(columns=", ".join(_columns(dialect, *one) for one in each))
    while True:
        [[row]] = list(dialect.stream(connection, alone, (key, *mine, after, _CHUNK), 1))
        last, *sections = row[:3]
        if last is None:
            return
        if sections == [first, first]:
            yield [row[3:], *[nothing] * (len(cuts) - 1)]
        else:
            asked = [value for s in cuts for value in (s, s, s, key, s)]
            [[row]] = list(dialect.stream(connection, apart, (*asked, *mine, after, _CHUNK), 1))
            yield [row[at : at + 4] for at in range(3, len(row), 4)]
        after = last


def _columns(dialect: Dialect, name: str, which: str) -> str:
    return _TIMES.format(which=which) + dialect.joined.format(name=name, which=which)


def listed(
    dialect: Dialect,
    connection: Connection,
    repository: int,
    partition: str,
    package: str | None,
) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The columns of `Listed` for the listed releases of a package, or of all, in chunks.

    Those that hang on another release are left out.
    """
    if package is None:
        return dialect.stream(connection, _ALL, (repository, partition), _CHUNK)
    mine = (repository, partition, package.casefold(), package)
    return dialect.stream(connection, _SOME, mine, _CHUNK)


def changed(connection: Connection, repository: int, partition: str, since: int) -> set[str]:
    """The packages with a release that came, changed or went after a serial."""
    statement = (
        select(_r.c.package)
        .distinct()
        .where(_r.c.repository_id == repository, _r.c.partition == partition)
        .where(_r.c.changed > since)
    )
    return set(connection.execute(statement).scalars())


def withdrawn(
    dialect: Dialect, connection: Connection, repository: int, partition: str
) -> list[tuple[str, str]]:
    """(package, name) of what was listed once and is not now, by name."""
    found = dialect.stream(connection, _WITHDRAWN, (repository, partition), _CHUNK)
    return [(package, name) for rows in found for package, name in rows]


def find(connection: Connection, repository: int, path: str) -> Any:
    """The row of a document, or None."""
    mine = (_d.c.repository_id == repository) & (_d.c.path == path)
    return connection.execute(select(_d).where(mine)).first()


def current(connection: Connection, repository: int) -> Iterator[Any]:
    """The rows of all documents that are not superseded, by path, some at a time."""
    mine = (_d.c.repository_id == repository) & _d.c.superseded_at.is_(None)
    after = ""
    while True:
        rows = connection.execute(
            select(_d).where(mine, _d.c.path > after).order_by(_d.c.path).limit(_AT_ONCE)
        ).all()
        yield from rows
        if not rows:
            return
        after = rows[-1].path


def _adding(insert: Insert) -> Any:
    statement = insert(_d).values(columns(_d, made_at=now(), superseded_at=None))
    new = statement.excluded
    same = {name: new[name] for name in ("partition", "kind", "immutable", "media_type", "size")}
    bytes_ = {name: new[name] for name in ("digest", "generation", "content", "made_at")}
    return statement.on_conflict_do_update(
        index_elements=[_d.c.repository_id, _d.c.path],
        set_={**same, **bytes_, "superseded_at": None},
    )


_ADD = Statement(_adding)


def add(transaction: Transaction, of: Generation, documents: Sequence[Made]) -> None:
    """Write documents; what is there with the same bytes keeps its time.  Idempotent."""
    for start in range(0, len(documents), _AT_ONCE):
        part = documents[start : start + _AT_ONCE]
        there = _there(transaction, of, [made.path for made in part])
        for made in part:
            row = there.get(made.path)
            if row is not None and row.digest == made.digest and row.superseded_at is None:
                continue
            if row is not None and row.generation is not None:
                blobs.touch(transaction, [row.digest])
            _write(transaction, of, made)


def _there(transaction: Transaction, of: Generation, paths: Sequence[str]) -> Mapping[str, Any]:
    statement = select(_d.c.path, _d.c.digest, _d.c.generation, _d.c.superseded_at).where(
        _d.c.repository_id == of.repository, _d.c.path.in_(paths)
    )
    return {row.path: row for row in transaction.execute(statement)}


def _write(transaction: Transaction, of: Generation, made: Made) -> None:
    transaction.change(
        _ADD,
        repository_id=of.repository,
        path=made.path,
        partition=of.partition,
        kind=of.kind,
        immutable=made.immutable,
        digest=made.digest,
        generation=None if made.key is None else made.key.generation,
        size=made.size,
        media_type=made.media_type,
        content=made.content,
    )


def publish(
    transaction: Transaction,
    of: Generation,
    documents: Sequence[Made],
    dropped: Sequence[str],
    kept: frozenset[str] | None,
) -> bool | None:
    """Put a generation in the place of an older one; False where there is a newer one already.

    ``dropped`` names immutable documents that it does without; with ``kept``, it does without all
    but these.  None: the collector took a stored document; make it again.
    """
    if not _takes_over(transaction, of):
        return False
    for made in documents:
        if made.key is not None and not blobs.refer(transaction, made.key):
            return None
    add(transaction, of, documents)
    mine = (
        (_d.c.repository_id == of.repository)
        & (_d.c.partition == of.partition)
        & (_d.c.kind == of.kind)
    )
    paths = {made.path for made in documents}
    rows = transaction.execute(
        select(_d.c.path, _d.c.digest, _d.c.generation).where(mine, _d.c.immutable.is_(False))
    ).all()
    gone = [row for row in rows if row.path not in paths]
    blobs.touch(transaction, [row.digest for row in gone if row.generation is not None])
    for row in gone:
        transaction.execute(delete(_d).where(mine, _d.c.path == row.path))
    if kept is not None:
        current = select(_d.c.path).where(mine, _d.c.immutable, _d.c.superseded_at.is_(None))
        dropped = [path for path in transaction.execute(current).scalars() if path not in kept]
    for start in range(0, len(dropped), _AT_ONCE):
        part = dropped[start : start + _AT_ONCE]
        old = mine & _d.c.path.in_(part) & _d.c.superseded_at.is_(None)
        transaction.execute(update(_d).where(old).values(superseded_at=now()))
    return True


def _takes_over(transaction: Transaction, of: Generation) -> bool:
    """Write the generation's row, unless there is one of a later serial."""
    values = {
        "repository_id": of.repository,
        "partition": of.partition,
        "kind": of.kind,
        "serial": of.serial,
        "variant": of.variant,
        "made_at": now(),
    }
    statement = transaction.dialect.insert(_g).values(**values)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=[_g.c.repository_id, _g.c.partition, _g.c.kind],
        set_={"serial": new.serial, "variant": new.variant, "made_at": new.made_at},
        where=(_g.c.serial < new.serial) | (_g.c.variant != new.variant),
    ).returning(_g.c.serial)
    return transaction.execute(statement).first() is not None


def renew(transaction: Transaction, repository: int) -> None:
    """Have every document of a repository made anew: what they are made from has changed."""
    mine = _p.c.repository_id == repository
    transaction.execute(update(_p).where(mine).values(serial=_p.c.serial + 1))


def forget_superseded(transaction: Transaction, older: int) -> int:
    """Delete immutable documents that were superseded so many microseconds ago; how many."""
    old = _d.c.superseded_at <= now() - older
    rows = transaction.execute(select(_d.c.digest, _d.c.generation).where(old)).all()
    blobs.touch(transaction, [row.digest for row in rows if row.generation is not None])
    return transaction.execute(delete(_d).where(old)).rowcount
