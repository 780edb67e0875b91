"""Reserve, store, commit: how bytes become a file, and how those that nothing names go.

A crash between any two of the steps leaves a reservation or an object that nothing names; the
collector takes both after the grace period, and nothing was ever visible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import attrs

from repocore.catalog import Transaction, blobs
from repocore.catalog.commit import FileChange, commit
from repocore.errors import StorageError
from repocore.model import BlobKey, BlobRepaired, File
from repocore.ports import Progress
from repocore.registry.context import Context
from repocore.registry.services import Services
from repocore.registry.staging import Staged

__all__ = [
    "Body",
    "Collected",
    "collect_blobs",
    "collect_strays",
    "heal",
    "publish",
    "refer",
    "refer_all",
]

#: A collector can take a reservation that outlived the grace period; then all begins again.
_TRIES: Final = 3


class _CollectedMeanwhile(Exception):  # noqa: N818 - ends a transaction, and is never seen
    """A reservation is gone: nothing of the transaction may stay."""


Body = tuple[Staged, blobs.Reserved]
Storing = Callable[[Callable[[Body], None], Sequence[Body]], None]


def _in_turn(store: Callable[[Body], None], bodies: Sequence[Body]) -> None:
    for body in bodies:
        store(body)


def _store(services: Services, body: Body) -> None:
    staged, reserved = body
    # An object that was lost or cut is written anew by whoever uploads its bytes again.
    if not reserved.stored or services.storage.size(reserved.key) != staged.size:
        staged.commit(reserved.key)


def publish(
    context: Context,
    uploads: Sequence[tuple[Staged, FileChange]],
    store: Storing = _in_turn,
) -> list[File]:
    """Store what is staged and make the changes true, all of them or none.

    ``store`` may store several at once, and returns when all are through.  Raises what the storage
    and `commit` raise.
    """
    services = context.services
    for _ in range(_TRIES):
        reserved = services.catalog.write(
            lambda t: [blobs.reserve(t, staged.checksums, staged.size) for staged, _ in uploads]
        )
        services.step("reserved")
        bodies = [staged for staged, _ in uploads]
        store(partial(_store, services), list(zip(bodies, reserved, strict=True)))
        services.step("stored")
        due = [
            attrs.evolve(change, key=one.key)
            for (_, change), one in zip(uploads, reserved, strict=True)
        ]
        try:
            files = context.write(lambda t, due=due: _commit_all(t, due))
        except _CollectedMeanwhile:
            continue
        services.step("committed")
        return files
    message = "A clean-up met the upload; send it again."
    raise StorageError(message)


def _commit_all(transaction: Transaction, changes: Sequence[FileChange]) -> list[File]:
    """Make the changes true; raises what has the transaction undone where a blob is gone."""
    files: list[File] = []
    for change in changes:
        file = commit(transaction, change)
        if file is None:
            raise _CollectedMeanwhile
        files.append(file)
    return files


def heal(services: Services, staged: Staged, by: str) -> bool:
    """Store bytes again that files name already; False where nothing names them any more."""
    for _ in range(_TRIES):
        with services.catalog.snapshot() as connection:
            if not blobs.wanted(connection, staged.checksums.sha256):
                return False
        reserved = services.catalog.write(lambda t: blobs.reserve(t, staged.checksums, staged.size))
        _store(services, (staged, reserved))
        if services.catalog.write(partial(_healed, key=reserved.key, by=by)):
            return True
    message = "A clean-up met the repair; run it again."
    raise StorageError(message)


def _healed(transaction: Transaction, *, key: BlobKey, by: str) -> bool:
    if not blobs.refer(transaction, key):
        return False
    transaction.emit(BlobRepaired(digest=key.digest, by=by))
    return True


def refer(context: Context, change: FileChange) -> File | None:
    """Bind a path to a stored blob; None where it went meanwhile."""
    return context.write(lambda t: commit(t, change))


def refer_all(
    context: Context, changes: Sequence[FileChange], still: Callable[[Transaction], bool]
) -> list[File] | None:
    """Bind paths to stored blobs, all of them or none; None where one went meanwhile.

    Also None where ``still``, which is asked first and in the transaction, says no.
    """

    def work(transaction: Transaction) -> list[File]:
        if not still(transaction):
            raise _CollectedMeanwhile
        return _commit_all(transaction, changes)

    try:
        return context.write(work)
    except _CollectedMeanwhile:
        return None


@attrs.frozen
class Collected:
    """How many blobs went, and their bytes."""

    blobs: int
    bytes: int


def collect_blobs(services: Services, grace: int, progress: Progress) -> Collected:
    """Delete blobs that nothing names and that were untouched for ``grace`` microseconds.

    It needs no pause of anything else, may run in several processes at once, and may die anywhere.
    """
    catalog = services.catalog
    count = size = 0
    after = ""
    while True:
        with catalog.snapshot() as connection:
            found = blobs.candidates(connection, grace, after)
        if not found:
            return Collected(count, size)
        for key, length in found:
            progress.check()
            if _collect(services, key, grace):
                count += 1
                size += length
                progress.advance()
        after = found[-1][0].digest


def _collect(services: Services, key: BlobKey, grace: int) -> bool:
    if not services.catalog.write(lambda t: blobs.mark(t, key, grace)):
        return False
    services.step("marked")
    services.storage.delete(key)
    services.step("deleted")
    services.catalog.write(lambda t: blobs.forget(t, key))
    services.step("forgotten")
    return True


def collect_strays(services: Services) -> int:
    """Delete objects whose key is not the current one of their bytes; how many.

    A key is reserved before its object is stored, and never reserved again once it is not the
    current one: what is listed first and unknown afterwards is unknown for ever.
    """
    count = 0
    for key in services.storage.keys():  # noqa: SIM118 - a storage is no mapping
        with services.catalog.snapshot() as connection:
            known = blobs.known(connection, key)
        if not known:
            services.storage.delete(key)
            count += 1
    return count
