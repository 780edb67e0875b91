"""The database behind a registry, whose tables are migrated, or copied into another database.

These verbs take settings, and not a session: whoever may read them may do so, and no registry has
to be open, which would want the tables as they are not yet.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from repocore.catalog import Catalog, schema, transfer
from repocore.catalog.rows import time_of
from repocore.catalog.schema import Revision
from repocore.catalog.transfer import CopiedTable
from repocore.config import Settings
from repocore.errors import ConfigurationError
from repocore.ports import Progress

__all__ = [
    "CatalogCopy",
    "CopiedTable",
    "MigrationPlan",
    "Revision",
    "copy_catalog",
    "migrate_catalog",
    "plan_migration",
]

_WRITTEN = (
    "Servers may change the catalog while it is copied, and their changes would be missing. Set "
    "`read_only = true` and send them SIGHUP, or copy it in use (`--in-use`), without what changes "
    "meanwhile."
)


@attrs.frozen(kw_only=True)
class MigrationPlan:
    """The schema of a catalog, None where it has no tables, that of this version, and the
    migrations between them, in order.
    """

    revision: str | None
    newest: str
    pending: tuple[Revision, ...]


@attrs.frozen(kw_only=True)
class CatalogCopy:
    """What was copied: the state of a moment, up to the record of changes of that number.

    ``changed`` says whether there were further changes before the copy ended: it lacks them.
    """

    at: datetime
    record: int
    changed: bool
    tables: tuple[CopiedTable, ...]


def plan_migration(settings: Settings) -> MigrationPlan:
    """What `migrate_catalog` would do; changes nothing.

    Raises `ConfigurationError` where the catalog cannot be opened, or is of a version so new that
    this one must not use it.
    """
    catalog = _open(settings, settings.catalog)
    try:
        found = catalog.schema()
        pending = tuple(schema.pending(found))
        return MigrationPlan(revision=found.revision, newest=schema.HEAD, pending=pending)
    finally:
        catalog.close()


def migrate_catalog(settings: Settings, progress: Progress | None = None) -> tuple[str, ...]:
    """Bring the catalog's tables to this version; the revisions that were done, in order.

    Idempotent; several at once do it once, and servers of this and of older versions may run
    meanwhile.  Raises as `plan_migration` does, and `StorageError`: what was done until then stays,
    and another call goes on from there.
    """
    done: list[str] = []

    def tell(revision: str) -> None:
        done.append(revision)
        if progress:
            progress.advance()

    catalog = _open(settings, settings.catalog)
    try:
        catalog.migrate(tell)
    finally:
        catalog.close()
    return tuple(done)


def copy_catalog(
    settings: Settings, url: str, *, in_use: bool = False, progress: Progress | None = None
) -> CatalogCopy:
    """Copy the catalog of the settings into the empty database of a URL, and compare them.

    The database may be of the other kind.  Everything comes along: accounts, tokens, releases,
    records of changes and their seals, documents, jobs; stored content stays where it is.

    Raises `ConfigurationError` unless the settings are read-only or it is to be copied ``in_use``,
    and where one of the databases is not fit, and `StorageError`.  After an error the target is of
    no use, and no registry opens on it.
    """
    if not (settings.read_only or in_use):
        raise ConfigurationError(_WRITTEN)

    def begin(table: str, rows: int) -> None:
        if progress:
            progress.start(rows, f"Copying {table}")

    def advance(rows: int) -> None:
        if progress:
            progress.check()
            progress.advance(rows)

    source = _open(settings, settings.catalog)
    try:
        target = _open(settings, url)
        try:
            done = transfer.copy(source, target, begin, advance)
        finally:
            target.close()
    finally:
        source.close()
    return CatalogCopy(
        at=time_of(done.at), record=done.record, changed=done.changed, tables=done.tables
    )


def _open(settings: Settings, url: str) -> Catalog:
    return Catalog(url, folder=settings.data, postgres=settings.postgres)
