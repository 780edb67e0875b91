"""Queries on blobs: reserve, refer, and what the collector asks.

A row says which generation of some bytes is the current one.  `reserve` names it before the
bytes are stored, `refer` confirms it in the transaction that makes a file of it, and the
collector marks a row before it deletes the object.  The order of these statements is the whole
argument for why nothing is lost; `docs/decisions` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from repocore.catalog import leases, tables
from repocore.catalog.dialects import now
from repocore.catalog.statements import Insert, Statement, columns
from repocore.catalog.transactions import Transaction
from repocore.model import BlobKey, Checksums, Digest

__all__ = [
    "Reserved",
    "Row",
    "candidates",
    "everything",
    "forget",
    "known",
    "learn",
    "lost",
    "mark",
    "named",
    "refer",
    "reserve",
    "sums",
    "touch",
    "wanted",
    "with_digest",
]

_t = tables.blobs
_f = tables.files
_d = tables.documents


@attrs.frozen
class Reserved:
    """The key to store bytes under, and whether they are stored there already."""

    key: BlobKey
    stored: bool


def _reserving(insert: Insert) -> Any:
    sound = {"damaged_at": None, "damaged": None}
    values = columns(_t, stored_at=None, touched_at=now(), deleting=False, **sound)
    statement = insert(_t).values(values)
    new = statement.excluded
    # A row that is being deleted gives its digest to a new generation; its old key stays doomed.
    renewed = {
        "generation": case((_t.c.deleting, new.generation), else_=_t.c.generation),
        "stored_at": case((_t.c.deleting, None), else_=_t.c.stored_at),
        "deleting": False,
        "touched_at": now(),
        "sha1": func.coalesce(new.sha1, _t.c.sha1),
        "md5": func.coalesce(new.md5, _t.c.md5),
    }
    statement = statement.on_conflict_do_update(index_elements=[_t.c.digest], set_=renewed)
    return statement.returning(_t.c.generation, _t.c.stored_at)


_RESERVE = Statement(_reserving)


def reserve(transaction: Transaction, checksums: Checksums, size: int) -> Reserved:
    """Name the generation of these bytes, and keep the collector away for its grace period."""
    key = BlobKey.make(checksums.sha256)
    [(generation, stored_at)] = transaction.rows(
        _RESERVE,
        digest=key.digest,
        generation=key.generation,
        size=size,
        sha1=checksums.sha1,
        md5=checksums.md5,
    )
    return Reserved(BlobKey(key.digest, generation), stored_at is not None)


# It must be this UPDATE: a read of the row, even a locking one, lets a collector pass between.
_REFER = Statement(
    lambda _: (
        update(_t)
        .where(_t.c.digest == bindparam("named"), _t.c.generation == bindparam("written"))
        .where(~_t.c.deleting)
        .values(touched_at=now(), stored_at=func.coalesce(_t.c.stored_at, now()))
        .values(damaged_at=None, damaged=None)
    )
)


def refer(transaction: Transaction, key: BlobKey) -> bool:
    """Confirm that the stored bytes are still there; False: reserve and store again."""
    return transaction.change(_REFER, named=key.digest, written=key.generation) == 1


def touch(transaction: Transaction, digests: Iterable[str]) -> None:
    """A reference was taken away: the grace period starts now."""
    names = sorted(set(digests))
    for start in range(0, len(names), 500):
        part = names[start : start + 500]
        transaction.execute(update(_t).where(_t.c.digest.in_(part)).values(touched_at=now()))


def with_digest(connection: Connection, repository: int, digest: Digest) -> Iterator[Any]:
    """(path, sha256, generation, size) of a repository's visible files that hold these bytes."""
    column = {"sha256": _t.c.digest, "sha1": _t.c.sha1, "md5": _t.c.md5}[digest.algorithm]
    r = tables.releases
    seen = exists().where(
        r.c.repository_id == _f.c.repository_id,
        r.c.partition == _f.c.partition,
        r.c.name == _f.c.release,
        r.c.released_at.is_not(None),
        r.c.removed_at.is_(None),
    )
    statement = (
        select(_f.c.path, _t.c.digest, _t.c.generation, _t.c.size)
        .join(_f, _f.c.digest == _t.c.digest)
        .where(column == digest.hex, _f.c.repository_id == repository)
        .where(_f.c.release.is_(None) | seen)
        # What is quarantined has to be sent.
        .where(_t.c.stored_at.is_not(None))
        .limit(100)
    )
    yield from connection.execute(statement)


def sums(connection: Connection, key: BlobKey) -> Checksums:
    """The sums of some bytes that somebody has needed so far."""
    statement = select(_t.c.sha1, _t.c.md5).where(_t.c.digest == key.digest)
    row = connection.execute(statement).first()
    found = (None, None) if row is None else row
    return Checksums(sha256=key.digest, sha1=found[0], md5=found[1])


def learn(transaction: Transaction, key: BlobKey, found: Checksums) -> None:
    """Keep sums that were made later than the bytes were stored."""
    new = {"sha1": func.coalesce(_t.c.sha1, found.sha1), "md5": func.coalesce(_t.c.md5, found.md5)}
    transaction.execute(update(_t).where(_t.c.digest == key.digest).values(new))


def candidates(
    connection: Connection, grace: int, after: str, limit: int = 500
) -> list[tuple[BlobKey, int]]:
    """Blobs that nothing names, untouched for ``grace`` microseconds, with their sizes."""
    statement = (
        select(_t.c.digest, _t.c.generation, _t.c.size)
        .where(_t.c.digest > after)
        .where(_t.c.deleting | ((_t.c.touched_at <= now() - grace) & ~_named()))
        .order_by(_t.c.digest)
        .limit(limit)
    )
    return [
        (BlobKey(row.digest, row.generation), row.size) for row in connection.execute(statement)
    ]


def _named() -> ColumnElement[bool]:
    held = exists().where(_d.c.digest == _t.c.digest, _d.c.generation.is_not(None))
    return or_(exists().where(_f.c.digest == _t.c.digest), held)


def mark(transaction: Transaction, key: BlobKey, grace: int) -> bool:
    """Decide to delete one blob; False where somebody named or touched it meanwhile, or makes a
    backup, which may name it.
    """
    mine = (_t.c.digest == key.digest) & (_t.c.generation == key.generation)
    row = transaction.execute(
        select(_t.c.deleting, (_t.c.touched_at <= now() - grace).label("old"))
        .where(mine)
        .with_for_update()
    ).first()
    if row is None or not (row.deleting or row.old):
        return False
    # A second statement: under READ COMMITTED only it sees what was committed before the lock.
    held = (_d.c.digest == key.digest) & _d.c.generation.is_not(None)
    for named in (select(_f.c.id).where(_f.c.digest == key.digest), select(_d.c.path).where(held)):
        if transaction.execute(named.limit(1)).first():
            return False
    if leases.held(transaction.connection, leases.BACKUP):
        return False
    transaction.execute(update(_t).where(mine).values(deleting=True))
    return True


def forget(transaction: Transaction, key: BlobKey) -> None:
    """Delete the row of a blob whose object is gone; a newer generation stays."""
    transaction.execute(
        delete(_t).where(
            _t.c.digest == key.digest, _t.c.generation == key.generation, _t.c.deleting
        )
    )


def known(connection: Connection, key: BlobKey) -> bool:
    """Whether an object's key is the current generation of its bytes, or is in quarantine."""
    mine = (_t.c.generation == key.generation) | (_t.c.damaged == key.generation)
    statement = select(_t.c.size).where(_t.c.digest == key.digest, mine)
    return connection.execute(statement).first() is not None


@attrs.frozen
class Row:
    """A blob as the check sees it; ``named``: whether a file or a document holds it."""

    digest: str
    generation: str
    size: int
    named: bool
    #: The generation of the object that was found damaged, and when (µs); else None.
    damaged: str | None
    damaged_at: int | None

    @property
    def key(self) -> BlobKey:
        """Where its bytes lie."""
        return BlobKey(self.digest, self.generation)


def everything(connection: Connection, after: str, limit: int = 500) -> list[Row]:
    """The blobs by digest, a page at a time."""
    # A version before this one forgets to say that a blob is sound again.
    lost = _t.c.stored_at.is_(None)
    statement = (
        select(_t.c.digest, _t.c.generation, _t.c.size, _named().label("named"))
        .add_columns(case((lost, _t.c.damaged)), case((lost, _t.c.damaged_at)))
        .where(_t.c.digest > after)
        .order_by(_t.c.digest)
        .limit(limit)
    )
    return [Row(*row) for row in connection.execute(statement)]


def named(connection: Connection, key: BlobKey) -> bool:
    """Whether a file holds this writing of a blob."""
    mine = (_t.c.digest == key.digest) & (_t.c.generation == key.generation)
    return connection.execute(select(_t.c.digest).where(mine, _named())).first() is not None


def wanted(connection: Connection, digest: str) -> bool:
    """Whether a file or a document holds these bytes, wherever they lie."""
    mine = _t.c.digest == digest
    return connection.execute(select(_t.c.digest).where(mine, _named())).first() is not None


def lost(connection: Connection, limit: int = 1000) -> list[str]:
    """Paths whose file names bytes that have no row."""
    there = exists().where(_t.c.digest == _f.c.digest)
    return list(connection.execute(select(_f.c.path).where(~there).limit(limit)).scalars())
