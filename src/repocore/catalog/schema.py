"""Which tables a catalog has, and which versions of repocore may use them.

Two versions run beside each other while a fleet is upgraded, so a migration adds first, and what
nobody uses any more goes in a later version.  Each revision says in ``compatible_from`` which is
the oldest revision whose code can use the tables that it leaves behind; the catalog notes that, so
that an older server knows it without knowing the revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from sqlalchemy import Connection, inspect, text

from repocore.errors import ConfigurationError

__all__ = ["COPYING", "HEAD", "Revision", "Schema", "pending", "read", "step"]

#: The newest revision in ``migrations/versions``; revisions are numbers of four digits, in order.
HEAD: Final = "0010"

#: The revision of a catalog into which another is being copied; no version uses that.
COPYING: Final = "copying"


@attrs.frozen
class Revision:
    """A migration: its number, and what it does in a line."""

    name: str
    summary: str


@attrs.frozen(kw_only=True)
class Schema:
    """The tables of a catalog.

    ``revision`` is None where there are none, and ``compatible_from`` where they are older than
    that note.
    """

    revision: str | None
    compatible_from: str | None

    @property
    def is_current(self) -> bool:
        """Whether this version has nothing to do with them before it uses them."""
        return self.revision is not None and self.revision >= HEAD

    @property
    def advice(self) -> str:
        """What to do where they are not current."""
        if self.revision is None:
            return "The catalog has no tables yet; run `repocore migrate`."
        return (
            f"The catalog has the tables of an older repocore (schema {self.revision}, and this "
            f"one needs {HEAD}); run `repocore migrate`."
        )

    def check(self) -> None:
        """Raise `ConfigurationError` where this version must not use them."""
        if self.revision == COPYING:
            message = (
                "A copy into this catalog was begun and did not end; drop the database, and copy "
                "again into a new one."
            )
            raise ConfigurationError(message)
        if self.revision is None or self.revision <= HEAD:
            return
        if self.compatible_from is None or self.compatible_from > HEAD:
            message = (
                f"The catalog was written by a newer repocore (schema {self.revision}); "
                "install that version or a later one."
            )
            raise ConfigurationError(message)


def read(connection: Connection) -> Schema:
    """What the tables are like."""
    tables = inspect(connection)
    if not tables.has_table("alembic_version"):
        return Schema(revision=None, compatible_from=None)
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    oldest = None
    if tables.has_table("compatibility"):
        oldest = connection.scalar(text("SELECT compatible_from FROM compatibility"))
    return Schema(revision=revision, compatible_from=oldest)


def pending(found: Schema) -> Sequence[Revision]:
    """The migrations that bring the tables to this version's schema, in order."""
    if found.is_current:
        return ()
    # Alembic costs a fifth of a second; only a new or an older catalog pays it.
    from repocore.catalog.migrations.run import following  # noqa: PLC0415

    return [Revision(name, summary) for name, summary in following(found.revision)]


def step(connection: Connection) -> str | None:
    """Do the next migration, inside the connection's transaction; its revision, None at the end.

    Raises `ConfigurationError` where the tables are not for us.
    """
    found = read(connection)
    found.check()
    if found.is_current:
        return None
    # As above.
    from repocore.catalog.migrations.run import following, upgrade  # noqa: PLC0415

    revision = following(found.revision)[0][0]
    upgrade(connection, revision)
    return revision
