"""How a transaction fails: what may be run again, what nobody knows, and what people are told."""

from __future__ import annotations

import errno
import logging
import random
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from repocore.errors import StorageError, StorageFullError

__all__ = ["DoubtError", "GivenUpError", "PoolTimeoutError", "pauses", "storage_error"]

_log = logging.getLogger(__name__)

_FAILED: Final = "The catalog's database failed; nothing was changed. Try again."
_BUSY: Final = "The server is too busy to ask its database; nothing was changed. Try again."
_SLOW: Final = "The catalog's database took too long; nothing was changed. Try again."
_DOUBT: Final = (
    "The connection to the catalog's database broke while the change was committed, so that it may "
    "be there or not. Look whether it is before you repeat it."
)
#: By SQLSTATE: a statement that ran, or waited for a lock, for longer than it may.
_TOO_LONG: Final = frozenset({"57014", "55P03"})

#: Seconds of the first pause, and of the longest.
_FIRST: Final = 0.01
_LONGEST: Final = 1.0
#: A source of its own: drawing from it disturbs nobody who has seeded the shared one.
_chance: Final = random.SystemRandom()


class GivenUpError(Exception):
    """The database has undone a transaction that may be run again; the cause is chained."""


class DoubtError(Exception):
    """The connection broke at the commit: it may have happened; the cause is chained."""


def pauses() -> Iterator[float]:
    """Seconds before each further attempt: twice as long each time, and nobody's are the same,
    so that those who have met once do not meet again.
    """
    bound = _FIRST
    while True:
        yield _chance.uniform(bound / 2, bound)
        bound = min(2 * bound, _LONGEST)


def storage_error(error: BaseException | None) -> StorageError:
    """What people are told of an error of the driver or the pool; the log has its text."""
    if isinstance(error, DoubtError):
        _log.error("catalog: lost at the commit: %s", error.__cause__)
        return StorageError(_DOUBT)
    reason = str(error)
    _log.error("catalog: %s", reason)
    if isinstance(error, PoolTimeoutError):
        return StorageError(_BUSY)
    cause = getattr(error, "__cause__", None)
    full = isinstance(cause, OSError) and cause.errno == errno.ENOSPC
    if full or "is full" in reason or "No space left" in reason:
        return StorageFullError()
    if getattr(error, "sqlstate", None) in _TOO_LONG:
        return StorageError(_SLOW)
    return StorageError(_FAILED)
