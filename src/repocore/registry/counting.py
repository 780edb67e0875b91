"""Downloads are counted in memory and written in batches: a read costs no write.

A process that is killed loses the counts of its last seconds (``limits.count_interval``).
"""

from __future__ import annotations

import logging
import threading
from collections import Counter as Multiset

from repocore.catalog import Catalog, downloads
from repocore.errors import RepocoreError

__all__ = ["Counter"]

_log = logging.getLogger(__name__)

Key = tuple[int, str, str]


class Counter:
    """The counts that are not written yet."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._counts: Multiset[Key] = Multiset()

    def count(self, repository: int, partition: str, release: str) -> None:
        """One download of a release."""
        with self._lock:
            self._counts[repository, partition, release] += 1

    def flush(self) -> None:
        """Write what was counted; what cannot be written is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Multiset()
        if not counts:
            return
        try:
            self._catalog.write(lambda transaction: downloads.add(transaction, counts))
        except RepocoreError:
            _log.exception("downloads could not be counted; trying again later")
            with self._lock:
                self._counts.update(counts)
