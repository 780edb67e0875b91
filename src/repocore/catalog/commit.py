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

from repocore.catalog import blobs, drafts, files, repositories
from repocore.catalog.drafts import ReleaseRow
from repocore.catalog.rows import StoredRepository, canonical, file_of
from repocore.catalog.transactions import Transaction
from repocore.errors import ConflictError, ImmutableFileError, ReleaseMissingError
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
    #: Why it may not.
    kept: str
    whole: Callable[[DraftRelease, Sequence[File]], bool]
    #: When an importer's release was published, in microseconds since 1970; else it is now.
    released_at: int | None = None
    #: Whether a release of one file is yanked from the first moment.
    yanked: bool = False


def commit(transaction: Transaction, change: FileChange) -> File | None:
    """Make the change true; None where the blob was collected: store it again.

    Raises `ImmutableFileError` where released bytes would change without permission,
    `ConflictError` where they are yanked and stay the same, `ReleaseMissingError` where what it
    hangs on is gone, and `QuotaExceededError`; then nothing has happened.
    """
    if not blobs.refer(transaction, change.key):
        return None
    file, grown, before, new = _bind(transaction, change)
    replaced = before is not None and before["digest"] != str(change.key.digest)
    repositories.charge(transaction, change.repository, grown, int(new))
    facts = change.facts
    if facts.partition is None or facts.release is None:
        if replaced and not (facts.mutable or change.may_overwrite):
            raise _refusal(change)
        transaction.emit(_file_event(change), before=before, after=_fields(change))
        return file
    _require_parent(transaction, change)
    drafts.lock(transaction, change.repository.id, facts.partition)
    row = _draft(transaction, change, facts.partition, facts.release, replaced=replaced)
    count, removed = _make_room(transaction, change, replaced=replaced)
    repositories.charge(transaction, change.repository, -removed, -count)
    if row.released and (replaced or count) and not (facts.mutable or change.may_overwrite):
        raise _refusal(change)
    published = _publish(transaction, change, row, before, replaced=replaced)
    # Replicas follow serials, also where no list has changed.
    if row.released and (facts.amends or ((new or replaced or count) and not published)):
        drafts.amend(transaction, row)
    if row.released and published:
        transaction.tell(_file_event(change))
    elif row.released:
        transaction.emit(_file_event(change), before=before, after=_fields(change))
    return file


def _refusal(change: FileChange) -> ImmutableFileError:
    message = f"{change.path} is published with other content, and {change.kept}."
    return ImmutableFileError(message)


def _bind(
    transaction: Transaction, change: FileChange
) -> tuple[File, int, dict[str, Any] | None, bool]:
    """Write the file's row; returns it, the bytes it grew by, what was there before, and whether
    the path is new.
    """
    bound = files.bind(
        transaction,
        repository_id=change.repository.id,
        path=str(change.path),
        digest=change.key.digest,
        size=change.size,
        partition=change.facts.partition,
        release=change.facts.release,
        media_type=change.facts.media_type,
        mutable=change.facts.mutable,
        created_by=change.by,
    )
    columns = (
        change.key.digest,
        change.size,
        change.facts.partition,
        change.facts.release,
        change.facts.media_type,
        change.facts.mutable,
        bound.created_at,
        bound.created_by,
        change.key.generation,
    )
    file = file_of(change.repository.value.address, change.path, columns)
    if bound.before is None:
        return file, change.size, None, True
    digest, size = bound.before
    return file, change.size - size, {"digest": str(digest), "size": size}, False


def _require_parent(transaction: Transaction, change: FileChange) -> None:
    """What hangs on a release comes after it, and not after its deletion.

    The parent's partition is held, shared, to the commit; a deletion holds it alone.
    """
    if change.facts.parent is None:
        return
    partition, _, name = change.facts.parent.rpartition("#")
    if not drafts.hold_parent(transaction, change.repository.id, partition, name):
        message = f"{change.path} belongs to something that is not there; upload that first."
        raise ReleaseMissingError(message)


def _draft(
    transaction: Transaction, change: FileChange, partition: str, release: str, *, replaced: bool
) -> ReleaseRow:
    """The row of the file's release, made or brought up to date."""
    facts = change.facts
    row = drafts.find(transaction, change.repository.id, partition, release)
    if facts.amends and (row is None or row.removed or row.record != facts.amends):
        message = f"{release} was changed meanwhile; look at it again."
        raise ConflictError(message)
    if row is not None and not replaced and _amended(transaction, change, row):
        return attrs.evolve(row, section=facts.section)
    made = _written(transaction, change, row, partition, release)
    if facts.extra and (facts.sole or row is None or made.record != row.record):
        drafts.keep_extra(transaction, made, facts.extra)
    return made


def _amended(transaction: Transaction, change: FileChange, row: ReleaseRow) -> bool:
    """Whether the same bytes come again of a release that was added to: that is not undone."""
    if not change.facts.sole or not row.released or row.removed:
        return False
    if row.record == change.facts.record:
        return False
    address = change.repository.value.address
    return len(files.of_draft(transaction, row.repository, address, row.partition, row.name)) > 1


def _written(
    transaction: Transaction,
    change: FileChange,
    row: ReleaseRow | None,
    partition: str,
    release: str,
) -> ReleaseRow:
    facts = change.facts
    if row is None:
        return drafts.add(
            transaction,
            ReleaseRow(
                repository=change.repository.id,
                partition=partition,
                name=release,
                package=facts.package or "",
                version=facts.version or "",
                parent=facts.parent,
                record=facts.record,
                section=facts.section,
            ),
            change.sort_key,
        )
    row = attrs.evolve(row, section=facts.section)
    if row.removed and row.released:
        # Uploaded again after its deletion: a draft, that stays a tombstone until it is whole.
        return drafts.begin_again(transaction, row, facts.record)
    record = facts.record if facts.sole else _merged(row.record, facts.record)
    if not row.released or record != row.record:
        return drafts.touch(transaction, row, record)
    return row


def _merged(old: bytes, new: bytes) -> bytes:
    if new in {b"{}", old}:
        return old
    if old == b"{}":
        return new
    return canonical(json.loads(old) | json.loads(new))


def _make_room(transaction: Transaction, change: FileChange, *, replaced: bool) -> tuple[int, int]:
    """Delete what the file takes the place of; returns how many files, and their bytes.

    With other bytes, a file that is the whole release takes the place of all that was added to it.
    """
    facts, repository = change.facts, change.repository
    paths = [str(path) for path in facts.replaces]
    if facts.sole and replaced and facts.partition is not None and facts.release is not None:
        address = repository.value.address
        own = files.of_draft(transaction, repository.id, address, facts.partition, facts.release)
        paths += [str(file.path) for file in own if file.path != change.path]
    if not paths:
        return 0, 0
    gone = files.remove(transaction, files.select_paths(repository.id, paths))
    return len(gone), sum(file.size for file in gone)


def _publish(
    transaction: Transaction,
    change: FileChange,
    row: ReleaseRow,
    before: dict[str, Any] | None,
    *,
    replaced: bool,
) -> bool:
    """Release what became whole; put an older release in front when it is announced again.

    Says whether it did.

    A release that is one file is published anew with other bytes, though it was yanked, and not
    with the same: who uploads it finds it in the next index, or is told why not.  It keeps the time
    of an importer: its partition is not ordered by time.
    """
    if change.facts.sole:
        if not row.released or replaced:
            at, yanked = change.released_at, change.yanked
            serial = drafts.publish(transaction, row, 0, at, yanked=yanked)
            _tell_release(transaction, change, row, serial, before)
            return True
        if row.yanked and not change.yanked:
            raise ConflictError(f"{row.name} is yanked; put it back instead of sending it again.")
        return False
    announces = change.facts.announces and change.released_at is None
    if change.facts.mutable or (row.released and not announces):
        return False
    newest = drafts.newest(transaction, row)
    if row.released and row.serial == newest.serial:
        return False
    address = change.repository.value.address
    stored = files.of_draft(transaction, row.repository, address, row.partition, row.name)
    if not change.whole(drafts.draft_of(row, address), stored):
        return False
    serial = drafts.publish(transaction, row, newest.released_at, change.released_at)
    _tell_release(transaction, change, row, serial, before)
    return True


def _tell_release(
    transaction: Transaction,
    change: FileChange,
    row: ReleaseRow,
    serial: int,
    before: dict[str, Any] | None,
) -> None:
    event = ReleaseAdded(
        repository=change.repository.value.address,
        partition=row.partition,
        release=row.name,
        package=row.package,
        version=row.version,
        serial=serial,
        by=change.by,
    )
    transaction.emit(event, before=before, after=_fields(change))


def _file_event(change: FileChange) -> FileAdded:
    return FileAdded(
        repository=change.repository.value.address,
        path=str(change.path),
        digest=change.key.digest,
        by=change.by,
    )


def _fields(change: FileChange) -> dict[str, Any]:
    """The bytes that a path names, for records."""
    return {"digest": str(change.key.digest), "size": change.size}
