"""Releases of one repository in another: rows are made, no bytes are moved."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import attrs

from repocore.catalog import Transaction, drafts, files, releases
from repocore.catalog.commit import FileChange
from repocore.catalog.rows import StoredRepository
from repocore.errors import RejectedError, ReleaseMissingError, StorageError
from repocore.model import (
    Action,
    Attested,
    File,
    FileFacts,
    FilePath,
    Release,
    split_address,
)
from repocore.ports import AttestedFormat, Format
from repocore.registry.blobs import refer_all
from repocore.registry.context import Context
from repocore.registry.uploading import Stored, Uploading

__all__ = ["copy_releases"]

#: A collector cannot take what is named; but the source may change while it is copied.
_GONE: Final = "A release was changed again and again while it was copied; look again."
_TRIES: Final = 5


@attrs.frozen
class _Source:
    """A release that is to be copied: its files, and the bytes beside its record."""

    stored: StoredRepository
    release: Release
    files: Sequence[File]
    section: str
    extra: bytes
    #: Attestations of the others.
    beside: frozenset[FilePath] = frozenset()


def copy_releases(
    context: Context,
    source: str,
    names: Sequence[tuple[str, str]],
    target: str,
    action: Action,
) -> list[File]:
    """See `Releases.copy`."""
    kind = split_address(target)[0]
    if split_address(source)[0] != kind:
        message = f"{target} is of another format than {source}; copy to one of the same."
        raise RejectedError(message)
    format_ = context.services.format(kind)
    for _ in range(_TRIES):
        found = _read(context, source, names, format_)
        changes = _changes(context, found, target, action, format_)
        made = refer_all(context, changes, partial(_hold, found, changes))
        if made is not None:
            return made
    raise StorageError(_GONE)


def _changes(
    context: Context, found: Sequence[_Source], target: str, action: Action, format_: Format
) -> list[FileChange]:
    uploading = Uploading(context)
    changes: list[FileChange] = []
    # Who may not is told that, and not what could not be done.
    scopes = [(one.release.package, one.release.version) for one in found]
    targets = [context.find(target, action, scope) for scope in scopes]
    for one in found:
        _require_unyanked(one)
    for one, stored in zip(found, targets, strict=True):
        kept = _kept(context, stored, one)
        own = [file for file in one.files if file.path not in kept]
        changes += [_change(uploading, stored, format_, one, file) for file in own]
    # What hangs on something comes after it, what announces a release last; else in one order.
    return sorted(changes, key=_order)


def _hold(
    found: Sequence[_Source], changes: Sequence[FileChange], transaction: Transaction
) -> bool:
    """Hold both sides to the commit; whether the source is what it was when it was read.

    Else somebody could see that a release is gone, and after that how it comes into the target.
    """
    partitions = {(one.stored.id, one.release.partition) for one in found}
    places = {(one.repository.id, one.facts.partition) for one in changes}
    partitions |= {(number, partition) for number, partition in places if partition is not None}
    for repository, partition in sorted(partitions):
        drafts.lock(transaction, repository, partition)
    return all(_unchanged(transaction, one) for one in found)


def _unchanged(transaction: Transaction, one: _Source) -> bool:
    connection, release = transaction.connection, one.release
    where = (release.partition, release.name)
    if releases.visible(connection, one.stored, *where) != release:
        return False
    address = one.stored.value.address
    return files.of_release(connection, one.stored.id, address, *where) == list(one.files)


def _order(change: FileChange) -> tuple[bool, str, bool, str]:
    facts = change.facts
    return facts.parent is not None, facts.partition or "", facts.announces, str(change.path)


def _read(
    context: Context, source: str, names: Sequence[tuple[str, str]], format_: Format
) -> list[_Source]:
    found: list[_Source] = []
    stored = {
        partition: context.find(source, Action.READ, format_.scope(partition))
        for partition, _ in names
    }
    with context.services.catalog.snapshot() as connection:
        for partition, name in dict.fromkeys(names):
            repository = stored[partition]
            release = releases.visible(connection, repository, partition, name)
            if release is None:
                message = f"There is no {name} in {source}/{partition}."
                raise ReleaseMissingError(message)
            own = files.of_release(connection, repository.id, source, partition, name)
            section, extra = drafts.beside(connection, repository.id, partition, name)
            beside = _beside(format_, release, own)
            found.append(_Source(repository, release, own, section, extra, beside))
    return found


def _require_unyanked(one: _Source) -> None:
    release = one.release
    if release.yanked_at is not None:
        where = f"{release.name} of {one.stored.value.address}/{release.partition}"
        message = f"{where} is yanked; put it back before it is copied."
        raise RejectedError(message)


def _beside(format_: Format, release: Release, own: Sequence[File]) -> frozenset[FilePath]:
    """Where the attestations of a release's files are."""
    if not isinstance(format_, AttestedFormat):
        return frozenset()
    places = {format_.attestations(file.path, release.record) for file in own}
    return frozenset(file.path for file in own if file.path in places)


def _kept(context: Context, stored: StoredRepository, one: _Source) -> frozenset[FilePath]:
    """The attestations that are not copied, because the target has their file with its own."""
    if not one.beside:
        return one.beside
    release, address = one.release, stored.value.address
    with context.services.catalog.snapshot() as connection:
        there = files.of_release(connection, stored.id, address, release.partition, release.name)
    bytes_ = {(file.path, file.digest) for file in one.files if file.path not in one.beside}
    own = {(file.path, file.digest) for file in there}
    return one.beside if bytes_ <= own != bytes_ else frozenset()


def _attested(uploading: Uploading, format_: Format, one: _Source, file: File) -> Attested | None:
    """What was attested of a file that is copied."""
    if not one.beside or not isinstance(format_, AttestedFormat):
        return None
    place = format_.attestations(file.path, one.release.record)
    [found] = [other for other in one.files if other.path == place]
    with uploading.storage.open(found.key) as stream:
        return Attested(bundles=stream.read(), urls=None)


def _change(
    uploading: Uploading, stored: StoredRepository, format_: Format, one: _Source, file: File
) -> FileChange:
    known = format_.locate(file.path)
    facts: FileFacts = attrs.evolve(
        known,
        record=one.release.record,
        extra=one.extra,
        section=one.section,
        media_type=file.media_type,
    )
    content = Stored(uploading.storage, file.key, file.size)
    if file.path not in one.beside:  # with what it is beside, that is looked at
        facts = attrs.evolve(facts, attested=_attested(uploading, format_, one, file))
        uploading.validate(stored, file.path, content, facts)
    else:
        facts = attrs.evolve(facts, amends=one.release.record)
    return uploading.change(stored, file.path, file.key, file.size, facts, format_)
