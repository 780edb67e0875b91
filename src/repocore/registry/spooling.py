"""Values that wait on the disk, so that memory need not hold them all."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import Any, Self

__all__ = ["Spool"]


class Spool:
    """A file without a name: what is added is read again in the same order, as often as wanted."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self.count = 0

    def add(self, value: Any) -> None:
        """Add a value behind the others."""
        self._file.seek(0, 2)
        pickle.dump(value, self._file, pickle.HIGHEST_PROTOCOL)
        self.count += 1

    def read(self) -> Iterator[Any]:
        """Every value, from the first."""
        place = 0
        for _ in range(self.count):
            self._file.seek(place)
            value = pickle.load(self._file)  # noqa: S301 - nobody else can write to it
            place = self._file.tell()
            yield value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
