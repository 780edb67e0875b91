"""The one transaction in which an upload becomes true.

In this order, which every writer keeps: refer to the blob, bind the path, count the quota, lock
the partition's row, ask whether the release is whole, take the serial, tell.  The partition's row
is held from there to the commit, so that the order of serials is the order of commits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from sqlalchemy import func, or_, select, update

from repocore.catalog import blobs, files, repositories, tables
from repocore.catalog.dialects import now
from repocore.catalog.rows import StoredRepository, canonical, file_of
from repocore.catalog.transactions import Transaction
from repocore.errors import ImmutableFileError, ReleaseMissingError
from repocore.model import (
    BlobKey,
    DraftRelease,
    File,
    FileAdded,
    FileFacts,
    FilePath,
    ReleaseAdded,
)

__all__ = ["FileChange", "commit"]

_f = tables.files
_r = tables.releases
_p = tables.partitions


@attrs.frozen(kw_only=True)
class FileChange:
    """Bind a path to stored bytes."""

    repository: StoredRepository
    path: FilePath
    key: BlobKey
    size: int
    facts: FileFacts
    sort_key: bytes
    by: str
    #: Whether released bytes may give way to others.
    may_overwrite: bool
    whole: Callable[[DraftRelease, Sequence[File]], bool]


def commit(transaction: Transaction, change: FileChange) -> File | None:
    """Make the change true; None where the blob was collected: store it again.

    Raises `ImmutableFileError` where released bytes would change without permission,
    `ReleaseMissingError` where what it hangs on is gone, and `QuotaExceededError`; then nothing has
    happened.
    """
    if not blobs.refer(transaction, change.key):
        return None
    file, grown, replaced = _bind(transaction, change)
    repositories.charge(transaction, change.repository, grown)
    facts = change.facts
    if facts.partition is None or facts.release is None:
        if replaced and not (facts.mutable or change.may_overwrite):
            raise _refusal(change)
        _tell_file(transaction, change)
        return file
    _require_parent(transaction, change)
    _lock(transaction, change.repository.id, facts.partition)
    row = _draft(transaction, change)
    removed = _make_room(transaction, change)
    repositories.charge(transaction, change.repository, -removed)
    released = row.released_at is not None
    if released and (replaced or removed) and not (facts.mutable or change.may_overwrite):
        raise _refusal(change)
    _publish(transaction, change, row)
    if released:
        _tell_file(transaction, change)
    return file


def _refusal(change: FileChange) -> ImmutableFileError:
    policy = change.repository.value.policy
    reason = (
        "you lack the permission to overwrite"
        if policy.overwrite
        else "this repository keeps what is published as it is"
    )
    message = f"{change.path} is published with other content, and {reason}."
    return ImmutableFileError(message)


def _bind(transaction: Transaction, change: FileChange) -> tuple[File, int, bool]:
    """Write the file's row; returns it, the bytes it grew by, and whether other bytes went."""
    facts = change.facts
    values = {
        "repository_id": change.repository.id,
        "path": str(change.path),
        "digest": change.key.digest,
        "size": change.size,
        "partition": facts.partition,
        "release": facts.release,
        "media_type": facts.media_type,
        "mutable": facts.mutable,
        "created_at": now(),
        "created_by": change.by,
    }
    mine = (_f.c.repository_id == change.repository.id) & (_f.c.path == str(change.path))
    before = None
    if not transaction.insert_missing(_f, values):
        before = transaction.execute(
            select(_f.c.digest, _f.c.size).where(mine).with_for_update()
        ).first()
        if before is None:  # deleted between the two statements
            return _bind(transaction, change)
        if before.digest != change.key.digest:
            del values["repository_id"], values["path"]
            transaction.execute(update(_f).where(mine).values(**values))
            blobs.touch(transaction, [before.digest])
    born = transaction.execute(select(_f.c.created_at, _f.c.created_by).where(mine)).one()
    columns = (
        change.key.digest,
        change.size,
        facts.partition,
        facts.release,
        facts.media_type,
        facts.mutable,
        born.created_at,
        born.created_by,
        change.key.generation,
    )
    file = file_of(change.repository.value.address, str(change.path), columns)
    if before is None:
        return file, change.size, False
    return file, change.size - before.size, before.digest != change.key.digest


def _require_parent(transaction: Transaction, change: FileChange) -> None:
    """What hangs on a release comes after it, and not after its deletion.

    The parent's partition is held, shared, to the commit; a deletion holds it alone.
    """
    if change.facts.parent is None:
        return
    partition, _, name = change.facts.parent.rpartition("#")
    repository = change.repository.id
    mine = (_p.c.repository_id == repository) & (_p.c.name == partition)
    transaction.execute(select(_p.c.serial).where(mine).with_for_update(read=True))
    parent = (
        (_r.c.repository_id == repository) & (_r.c.partition == partition) & (_r.c.name == name)
    )
    # A tombstone that nobody has begun to upload again has no time of a touch.
    there = or_(_r.c.removed_at.is_(None), _r.c.touched_at.is_not(None))
    if transaction.execute(select(_r.c.name).where(parent, there)).first() is None:
        message = f"{change.path} belongs to something that is not there; upload that first."
        raise ReleaseMissingError(message)


def _lock(transaction: Transaction, repository: int, partition: str) -> None:
    values = {"repository_id": repository, "name": partition, "serial": 0}
    if not transaction.insert_missing(_p, values):
        mine = (_p.c.repository_id == repository) & (_p.c.name == partition)
        transaction.execute(select(_p.c.serial).where(mine).with_for_update())


def _draft(transaction: Transaction, change: FileChange) -> Any:
    """The row of the file's release, made or brought up to date."""
    facts = change.facts
    values = {
        "repository_id": change.repository.id,
        "partition": facts.partition,
        "name": facts.release,
        "package": facts.package or "",
        "package_key": (facts.package or "").casefold(),
        "version": facts.version or "",
        "sort_key": change.sort_key,
        "parent": facts.parent,
        "serial": 0,
        "touched_at": now(),
        "record": facts.record,
    }
    transaction.insert_missing(_r, values)
    mine = _release(change)
    row = transaction.execute(select(_r).where(mine)).one()
    again: dict[str, Any] = {}
    if row.released_at is None or row.removed_at is not None:
        again["touched_at"] = now()
    if row.removed_at is not None and row.released_at is not None:
        # Uploaded again after its deletion: a draft, that stays a tombstone until it is whole.
        again.update(released_at=None, yanked_at=None, record=facts.record)
    else:
        record = _merged(row.record, facts.record)
        if record != row.record:
            again["record"] = record
    if again:
        transaction.execute(update(_r).where(mine).values(**again))
        row = transaction.execute(select(_r).where(mine)).one()
    return row


def _merged(old: bytes, new: bytes) -> bytes:
    if new in {b"{}", old}:
        return old
    if old == b"{}":
        return new
    return canonical(json.loads(old) | json.loads(new))


def _release(change: FileChange) -> Any:
    return (
        (_r.c.repository_id == change.repository.id)
        & (_r.c.partition == change.facts.partition)
        & (_r.c.name == change.facts.release)
    )


def _make_room(transaction: Transaction, change: FileChange) -> int:
    """Delete what the file takes the place of; returns the bytes."""
    if not change.facts.replaces:
        return 0
    paths = [str(path) for path in change.facts.replaces]
    where = (_f.c.repository_id == change.repository.id) & _f.c.path.in_(paths)
    return files.remove(transaction, where)[1]


def _publish(transaction: Transaction, change: FileChange, row: Any) -> None:
    """Release what became whole; put an older release in front when it is announced again."""
    if change.facts.mutable or not (row.released_at is None or change.facts.announces):
        return
    repository = change.repository
    address = repository.value.address
    newest = transaction.execute(
        select(func.max(_r.c.serial).label("serial"), func.max(_r.c.released_at).label("at")).where(
            _r.c.repository_id == repository.id,
            _r.c.partition == row.partition,
            _r.c.released_at.is_not(None),
            _r.c.removed_at.is_(None),
        )
    ).one()
    if row.released_at is not None and row.serial == newest.serial:
        return
    draft = DraftRelease(
        repository=address,
        partition=row.partition,
        name=row.name,
        package=row.package,
        version=row.version,
        parent=row.parent,
        record=row.record,
    )
    stored = files.of_release(
        transaction.connection, repository.id, address, row.partition, row.name
    )
    if not change.whole(draft, stored):
        return
    _raise(transaction, change, row, newest.at)


def _raise(transaction: Transaction, change: FileChange, row: Any, before: int | None) -> None:
    """Give a release the next serial, and a time after every earlier one of its partition."""
    repository = change.repository
    mine = (_p.c.repository_id == repository.id) & (_p.c.name == row.partition)
    serial = transaction.execute(
        update(_p).where(mine).values(serial=_p.c.serial + 1).returning(_p.c.serial)
    ).scalar_one()
    current = transaction.connection.scalar(select(now())) or 0
    transaction.execute(
        update(_r)
        .where(_release(change))
        .values(
            serial=serial,
            released_at=max(current, (before or 0) + 1),
            removed_at=None,
            touched_at=None,
        )
    )
    transaction.emit(
        ReleaseAdded(
            repository=repository.value.address,
            partition=row.partition,
            release=row.name,
            package=row.package,
            version=row.version,
            serial=serial,
            by=change.by,
        )
    )


def _tell_file(transaction: Transaction, change: FileChange) -> None:
    transaction.emit(
        FileAdded(
            repository=change.repository.value.address,
            path=str(change.path),
            digest=change.key.digest,
            by=change.by,
        )
    )
