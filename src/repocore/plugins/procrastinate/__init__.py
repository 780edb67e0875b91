"""Jobs of a fleet by procrastinate, a queue in the catalog's own PostgreSQL.

``runner = "procrastinate:4"`` runs four jobs at a time in each process that runs jobs;
``procrastinate:0`` leaves them to processes of `repocore worker`.  Nothing of procrastinate is
imported before such a setting is read.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from repocore.config import Settings
from repocore.errors import ConfigurationError
from repocore.markers import hookimpl
from repocore.ports import JobRunner
from repocore.registry import Registry

if TYPE_CHECKING:
    from repocore.plugins.procrastinate.tables import QueueTables

__all__ = ["repocore_job_runner", "repocore_tables"]

_SCHEME: Final = "procrastinate"
_USUAL: Final = 4
_MOST: Final = 256


@hookimpl
def repocore_job_runner(
    registry: Registry, url: str, kinds: Iterable[str] | None
) -> JobRunner | None:
    """``procrastinate:N`` runs N jobs at a time, ``procrastinate`` four.

    Raises `ConfigurationError` where N is no number, where the catalog is no PostgreSQL, where the
    packages are missing, and where the queue's tables are not there or not for us.
    """
    count = _count(url)
    if count is None:
        return None
    tables, settings = _tables(registry.settings), registry.settings
    if not settings.read_only:
        (tables.migrate if settings.migrate_at_start else tables.require_current)()
    # Of an extra, which others do without.
    from repocore.plugins.procrastinate.runner import ProcrastinateRunner  # noqa: PLC0415

    return ProcrastinateRunner(registry, count, kinds)


@hookimpl
def repocore_tables(settings: Settings) -> QueueTables | None:
    """Those of the queue, where the setting ``runner`` wants it; raises as above."""
    return None if _count(settings.runner) is None else _tables(settings)


def _count(url: str) -> int | None:
    """How many at a time; None where it is another runner's."""
    scheme, colon, count = url.partition(":")
    if scheme != _SCHEME:
        return None
    if not colon:
        return _USUAL
    if not count.isdecimal() or int(count) > _MOST:
        message = (
            f'`runner` is {url!r}; write "procrastinate:4" for four at a time ({_MOST} at most).'
        )
        raise ConfigurationError(message)
    return int(count)


def _tables(settings: Settings) -> QueueTables:
    if not settings.catalog.startswith("postgresql"):
        message = (
            "`runner` is procrastinate, which is a queue in PostgreSQL, and `catalog` is another "
            'database. Write runner = "threads:4", or copy the catalog: `repocore catalog copy`.'
        )
        raise ConfigurationError(message)
    if importlib.util.find_spec("procrastinate") is None:
        message = "`runner` needs procrastinate: pip install 'repocore[postgres]'."
        raise ConfigurationError(message)
    from repocore.plugins.procrastinate.tables import QueueTables  # noqa: PLC0415 - as above

    return QueueTables(settings)
