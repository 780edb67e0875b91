"""A storage that fails as a seed says: a plugin file, which servers load by ``plugins.files``.

It stands around whatever storage there is.  REPOCORE_STORAGE_FAULTS is the seed, a slash, and how
many of a thousand calls go wrong; each process draws its own.  A call fails before its work or
after it, takes its time, says that the disk is full, or ends in the middle of what is read.
"""

from __future__ import annotations

import io
import os
import random
import threading
import time
from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import Any, BinaryIO

from repocore import hookimpl
from repocore.errors import StorageError, StorageFullError

#: What goes wrong, and how often it does beside the others.
KINDS = {"early": 3, "late": 2, "full": 1, "stall": 2, "cut": 3}
STALL = (0.05, 0.4)


class Schedule:
    """Which of the calls that come go wrong, and how."""

    def __init__(self, seed: str, rate: int) -> None:
        self._chance = random.Random(seed)
        self._rate = rate
        self._lock = threading.Lock()
        self.struck: dict[str, int] = dict.fromkeys(KINDS, 0)

    def draw(self, *able: str) -> str | None:
        """What befalls this call, of what it is able to suffer; None: nothing."""
        with self._lock:
            if self._chance.randrange(1000) >= self._rate:
                return None
            kind = self._chance.choices(able, [KINDS[one] for one in able])[0]
            self.struck[kind] += 1
            pause = self._chance.uniform(*STALL)
        if kind == "stall":
            time.sleep(pause)
        return kind


def _raise(kind: str | None) -> None:
    if kind == "full":
        raise StorageFullError
    if kind is not None:
        raise StorageError("The storage was told to fail.")


class FaultyStorage:
    """Another storage, by a schedule."""

    def __init__(self, storage: Any, schedule: Schedule) -> None:
        self._storage = storage
        self._schedule = schedule

    def writer(self, length: int | None = None) -> FaultyWriter:
        kind = self._schedule.draw("early", "full", "stall")
        _raise(kind if kind in {"early", "full"} else None)
        return FaultyWriter(self._storage.writer(length), self._schedule)

    def open(self, key: Any, start: int = 0, stop: int | None = None) -> BinaryIO:
        kind = self._schedule.draw("early", "stall", "cut")
        _raise("early" if kind == "early" else None)
        stream = self._storage.open(key, start, stop)
        if kind != "cut":
            return stream
        # As of a storage whose connection breaks: less comes than it said there was.
        with stream:
            content = stream.read()
        return io.BytesIO(content[: len(content) // 2])

    def size(self, key: Any) -> int | None:
        _raise("early" if self._schedule.draw("early", "stall") == "early" else None)
        return self._storage.size(key)

    def delete(self, key: Any) -> None:
        kind = self._schedule.draw("early", "late", "stall")
        _raise("early" if kind == "early" else None)
        self._storage.delete(key)
        _raise("late" if kind == "late" else None)

    def keys(self) -> Iterator[Any]:
        return self._storage.keys()

    def sweep(self, older_than: timedelta) -> int:
        return self._storage.sweep(older_than)

    def location(self, key: Any) -> str | None:
        return self._storage.location(key)

    def url(self, key: Any, **more: Any) -> str | None:
        return self._storage.url(key, **more)


class FaultyWriter:
    """A body on its way."""

    def __init__(self, writer: Any, schedule: Schedule) -> None:
        self._writer = writer
        self._schedule = schedule

    def write(self, chunk: bytes, /) -> None:
        kind = self._schedule.draw("early", "full", "stall")
        if kind in {"early", "full"}:
            self._writer.write(chunk[: len(chunk) // 2])  # a part of it has come that far
            _raise(kind)
        self._writer.write(chunk)

    def open(self) -> BinaryIO:
        return self._writer.open()

    def commit(self, key: Any) -> None:
        kind = self._schedule.draw("early", "late", "full", "stall")
        _raise(kind if kind in {"early", "full"} else None)
        self._writer.commit(key)
        _raise("late" if kind == "late" else None)

    def abort(self) -> None:
        self._writer.abort()


@hookimpl(wrapper=True)
def repocore_storage() -> Generator[None, Any, Any]:
    """Put faults around the storage, where the variable says which."""
    storage = yield
    seed, _, rate = os.environ.get("REPOCORE_STORAGE_FAULTS", "").partition("/")
    if not rate or storage is None:
        return storage
    # Each process has calls of its own, and so its own chance.
    return FaultyStorage(storage, Schedule(f"{seed}/{os.getpid()}", int(rate)))
