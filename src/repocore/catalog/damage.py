"""Quarantine: what is asked and written of bytes that are not what they were.

A blob whose object is damaged gets another generation, which no object has: nobody reads the old
object any more, and whoever uploads the same bytes stores them anew, as if they had never been
there.  The old object stays until then: a fault may have been in the way to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, delete, select, union_all, update

from repocore.catalog import blobs, tables
from repocore.catalog.dialects import now
from repocore.catalog.transactions import Transaction
from repocore.model import BlobDamaged, BlobKey

__all__ = ["current", "forget_documents", "holds_file", "is_damaged", "names", "quarantine"]

_b = tables.blobs
_d = tables.documents
_f = tables.files
_g = tables.generations
_r = tables.repositories


def quarantine(transaction: Transaction, key: BlobKey, by: str) -> bool:
    """Have nobody read an object any more; False where it is not the current one.

    Documents whose bytes it held are made anew by their next reader.
    """
    mine = (_b.c.digest == key.digest) & (_b.c.generation == key.generation) & ~_b.c.deleting
    found = transaction.execute(
        update(_b)
        .where(mine, _b.c.stored_at.is_not(None))
        .values(
            generation=BlobKey.make(key.digest).generation,
            stored_at=None,
            touched_at=now(),
            damaged_at=now(),
            damaged=key.generation,
        )
    )
    if not found.rowcount:
        return False
    forget_documents(transaction, key.digest)
    transaction.emit(BlobDamaged(digest=key.digest, by=by))
    return True


def forget_documents(transaction: Transaction, digest: str) -> int:
    """Have the documents of some stored bytes be made anew; how many there were."""
    mine = (_d.c.digest == digest) & _d.c.generation.is_not(None)
    rows = transaction.execute(
        delete(_d).where(mine).returning(_d.c.repository_id, _d.c.partition, _d.c.kind)
    ).all()
    for row in rows:
        mine = (_g.c.repository_id == row.repository_id) & (_g.c.partition == row.partition)
        transaction.execute(delete(_g).where(mine, _g.c.kind == row.kind))
    blobs.touch(transaction, [digest] if rows else [])
    return len(rows)


def current(connection: Connection, digest: str) -> BlobKey | None:
    """The key that these bytes are read from now; None where they are not stored."""
    generation = connection.scalar(
        select(_b.c.generation).where(
            _b.c.digest == digest, _b.c.stored_at.is_not(None), ~_b.c.deleting
        )
    )
    return None if generation is None else BlobKey(digest, generation)


def is_damaged(connection: Connection, digest: str) -> bool:
    """Whether these bytes are in quarantine."""
    mine = (_b.c.digest == digest) & _b.c.stored_at.is_(None) & _b.c.damaged_at.is_not(None)
    return connection.execute(select(_b.c.digest).where(mine)).first() is not None


def names(connection: Connection, digest: str, limit: int) -> list[tuple[str, str]]:
    """(address, path) of what has these bytes by address and path; at most so many."""
    return list(_names(connection, digest, limit))


def _names(connection: Connection, digest: str, limit: int) -> Iterator[tuple[str, str]]:
    stored = (_d.c.digest == digest) & _d.c.generation.is_not(None)
    found = union_all(
        select(_f.c.repository_id.label("of"), _f.c.path).where(_f.c.digest == digest),
        select(_d.c.repository_id.label("of"), _d.c.path).where(stored),
    ).subquery()
    statement = (
        select(_r.c.format, _r.c.name, found.c.path)
        .join(_r, _r.c.id == found.c.of)
        .order_by(_r.c.format, _r.c.name, found.c.path)
        .limit(limit)
    )
    for format_, name, path in connection.execute(statement):
        yield f"{format_}/{name}", path


def holds_file(connection: Connection, digest: str) -> bool:
    """Whether a file, and not only a document, has these bytes."""
    statement = select(_f.c.id).where(_f.c.digest == digest).limit(1)
    return connection.execute(statement).first() is not None
