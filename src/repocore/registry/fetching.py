"""Bytes that a replica lacks: fetched by their digest, several beside each other, and compared."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import attrs

from repocore.catalog import Transaction, blobs
from repocore.catalog.blobs import Reserved
from repocore.catalog.copied_releases import Placed
from repocore.catalog.replication import FileState, ReleaseState
from repocore.errors import TooLargeError, TruncatedError, UpstreamUnavailableError
from repocore.model import Checksums
from repocore.registry.blobs import heal
from repocore.registry.primary import Primary
from repocore.registry.services import Services
from repocore.registry.staging import Bounds, Foreign, Unreadable, stage

__all__ = ["Fetched", "Fetcher"]

#: How often bytes are fetched that are not what they should be.
_TRIES: Final = 3
_MISSING: Final = 404
_LOST: Final = frozenset({500})


@attrs.frozen
class Fetched:
    """A release whose bytes are here; ``gone``: the primary has some of them no more."""

    state: ReleaseState
    placed: Sequence[Placed] = ()
    gone: bool = False


class _Gone(Exception):  # noqa: N818 - nobody outside of here sees it
    """The primary has no file with these bytes any more."""


class Fetcher:
    """Fetches what is not here; used in a ``with`` block."""

    def __init__(self, services: Services, primary: Primary) -> None:
        self._services = services
        self._primary = primary
        self._pool: Any = None
        self._lock = threading.Lock()
        self.count = self.bytes = 0

    def __enter__(self) -> Self:
        workers = self._services.settings.replica.workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="repocore-replica")
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def fetch(self, states: Sequence[ReleaseState]) -> list[Fetched]:
        """Have the bytes of some releases, in their order.

        Raises `UpstreamUnavailableError` and `StorageError`.
        """
        wanted = [file for state in states for file in state.files]
        keys = self._bring(wanted)
        return [
            Fetched(state, [(file, keys[file.digest]) for file in state.files])
            if all(file.digest in keys for file in state.files)
            else Fetched(state, gone=True)
            for state in states
        ]

    def place(self, files: Sequence[FileState]) -> list[Placed]:
        """Have the bytes of some files; those that are gone are left out.  Raises as `fetch`."""
        keys = self._bring(files)
        return [(file, keys[file.digest]) for file in files if file.digest in keys]

    def heal(self, digest: str, size: int) -> bool:
        """Bring bytes that the primary had lost, if it has them again.  Raises as `fetch`."""
        try:
            with self._primary.content(digest) as stream, self._staged(stream, size) as staged:
                same = staged.checksums.sha256 == digest
                return same and heal(self._services, staged, "replica")
        except (Unreadable, TruncatedError, TooLargeError):
            return False
        except UpstreamUnavailableError as error:
            if error.status is None:
                raise
            return False

    def _bring(self, files: Iterable[FileState]) -> Mapping[str, str | None]:
        """The generations by digest, None where the primary has lost the bytes; none of those that
        nothing names there any more.
        """
        wanted = {file.digest: file for file in files}
        reserved = self._reserve([wanted[digest] for digest in sorted(wanted)])
        futures = {
            digest: self._pool.submit(self._bring_one, wanted[digest], one)
            for digest, one in reserved.items()
        }
        found: dict[str, str | None] = {}
        for digest, future in futures.items():
            try:
                found[digest] = future.result()
            except _Gone:
                continue
        return found

    def _reserve(self, files: Sequence[FileState]) -> Mapping[str, Reserved]:
        def work(transaction: Transaction) -> dict[str, Reserved]:
            return {
                one.digest: blobs.reserve(
                    transaction,
                    Checksums(sha256=one.digest, sha1=one.sha1, md5=one.md5),
                    one.size,
                )
                for one in files
            }

        return self._services.catalog.write(work) if files else {}

    def _bring_one(self, file: FileState, reserved: Reserved) -> str | None:
        # Objects are whole or not there: what an earlier look has stored is not fetched again.
        if self._services.storage.size(reserved.key) == file.size:
            return reserved.key.generation
        for _ in range(_TRIES):
            if self._fetched(file, reserved):
                with self._lock:
                    self.count += 1
                    self.bytes += file.size
                return reserved.key.generation
        return None

    def _fetched(self, file: FileState, reserved: Reserved) -> bool:
        try:
            with (
                self._primary.content(file.digest) as stream,
                self._staged(stream, file.size) as staged,
            ):
                if staged.checksums.sha256 != file.digest:
                    return False
                staged.commit(reserved.key)
        except (TruncatedError, TooLargeError):
            return False
        except Unreadable as error:
            cause = error.__cause__
            raise cause if isinstance(cause, UpstreamUnavailableError) else error from None
        except UpstreamUnavailableError as error:
            if error.status == _MISSING:
                raise _Gone from error
            if error.status not in _LOST:
                raise
            return False
        return True

    def _staged(self, stream: Any, size: int) -> Any:
        services = self._services
        bounds = Bounds.exactly(size, services.settings.limits.chunk)
        return stage(services.storage, Foreign(stream), frozenset(), bounds)
