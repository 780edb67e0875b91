"""The database of a quetz, read and never written: rows as values, whichever release made them.

Its tables are looked at before they are read, because columns have come and gone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, cast

import attrs
from sqlalchemy import Connection, MetaData, Table, create_engine, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from repocore.errors import ConfigurationError, RejectedError

__all__ = [
    "OldChannel",
    "OldDatabase",
    "OldKey",
    "OldMember",
    "OldUser",
    "OldVersion",
    "open_old_database",
]

_NEEDED: Final = ("users", "channels", "channel_members", "package_versions")
_PAGE: Final = 500
_TTL: Final = 36000


@attrs.frozen(kw_only=True)
class OldUser:
    """Somebody; a user without a name is what a key with roles acts as."""

    id: str
    name: str | None
    role: str | None
    email: str = ""
    display_name: str = ""
    #: (provider, what it calls them).
    identities: tuple[tuple[str, str], ...] = ()
    #: Who was deleted has left a name, and nothing else.
    deleted: bool = False


@attrs.frozen(kw_only=True)
class OldChannel:
    """A channel; ``mode`` is ``proxy``, ``mirror`` or empty."""

    name: str
    description: str = ""
    private: bool = False
    size_limit: int | None = None
    ttl: int = _TTL
    mode: str = ""


@attrs.frozen(kw_only=True)
class OldMember:
    """A role of a user in a channel, or on a package of it."""

    user: str
    role: str
    channel: str
    package: str | None = None


@attrs.frozen(kw_only=True)
class OldKey:
    """An API key: what it is good for is what its user may."""

    secret: str = attrs.field(repr=False)
    description: str
    user: str
    owner: str
    expires: date | None


@attrs.frozen(kw_only=True)
class OldVersion:
    """A file of a channel, as its row has it."""

    platform: str
    filename: str
    came: datetime | None
    downloads: int
    sha256: str
    md5: str


class OldDatabase:
    """The rows of one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        names = set(inspect(connection).get_table_names())
        missing = [name for name in _NEEDED if name not in names]
        if missing:
            message = f"That is no database of a quetz: it has no table {missing[0]}."
            raise RejectedError(message)
        self._names = names
        self._metadata = MetaData()

    def _table(self, name: str) -> Table:
        return Table(name, self._metadata, autoload_with=self._connection, resolve_fks=False)

    def _rows(self, name: str, **equal: Any) -> Iterator[Mapping[str, Any]]:
        """The rows of a table, a page at a time; none where there is no such table."""
        if name not in self._names:
            return
        table = self._table(name)
        statement = select(table)
        for column, value in equal.items():
            statement = statement.where(table.c[column] == value)
        statement = statement.order_by(*table.primary_key.columns)
        streamed = self._connection.execution_options(yield_per=_PAGE).execute(statement)
        for row in streamed.mappings():
            yield cast("Mapping[str, Any]", row)

    def users(self) -> list[OldUser]:
        """Everybody, those that keys act as included."""
        emails: dict[str, str] = {}
        for row in self._rows("emails"):
            if row.get("primary") or _id(row["user_id"]) not in emails:
                emails[_id(row["user_id"])] = row["email"] or ""
        identities: dict[str, list[tuple[str, str]]] = {}
        for row in self._rows("identities"):
            pair = (str(row["provider"]), str(row["identity_id"]))
            identities.setdefault(_id(row["user_id"]), []).append(pair)
        names = {_id(row["user_id"]): row["name"] or "" for row in self._rows("profiles")}
        return [
            OldUser(
                id=(known := _id(row["id"])),
                name=row["username"],
                role=row.get("role"),
                email=emails.get(known, ""),
                display_name=names.get(known, ""),
                identities=tuple(identities.get(known, ())),
                deleted=known not in names and known not in identities,
            )
            for row in self._rows("users")
        ]

    def channels(self) -> list[OldChannel]:
        """Every channel, by name."""
        return [
            OldChannel(
                name=row["name"],
                description=row.get("description") or "",
                private=bool(row.get("private")),
                size_limit=row.get("size_limit"),
                ttl=_TTL if row.get("ttl") is None else row["ttl"],
                mode=(row.get("mirror_mode") or "") if row.get("mirror_channel_url") else "",
            )
            for row in self._rows("channels")
        ]

    def members(self) -> list[OldMember]:
        """Every role in channels, then those on packages."""
        found = [
            OldMember(user=_id(row["user_id"]), role=row["role"] or "", channel=row["channel_name"])
            for row in self._rows("channel_members")
        ]
        return found + [
            OldMember(
                user=_id(row["user_id"]),
                role=row["role"] or "",
                channel=row["channel_name"],
                package=row["package_name"],
            )
            for row in self._rows("package_members")
        ]

    def api_keys(self) -> list[OldKey]:
        """The API keys that were not deleted."""
        return [
            OldKey(
                secret=row["key"],
                description=row["description"] or "",
                user=_id(row["user_id"]),
                owner=_id(row["owner_id"]),
                expires=row.get("expire_at"),
            )
            for row in self._rows("api_keys")
            if not row["deleted"]
        ]

    def versions(self, channel: str) -> Iterator[OldVersion]:
        """The files of a channel, a page at a time."""
        for row in self._rows("package_versions", channel_name=channel):
            info = _info(row["info"])
            yield OldVersion(
                platform=row["platform"],
                filename=row["filename"],
                came=_zoned(row.get("time_created")),
                downloads=row.get("download_count") or 0,
                sha256=str(info.get("sha256") or ""),
                md5=str(info.get("md5") or ""),
            )


@contextmanager
def open_old_database(url: str) -> Generator[OldDatabase]:
    """The database of a URL, for as long as the block lasts.

    Raises `RejectedError` where it cannot be read, and `ConfigurationError` where a driver is
    missing.
    """
    try:
        known = make_url(url)
        if known.get_backend_name() == "sqlite":
            file = Path(known.database or "")
            if not file.is_file():
                message = f"There is no database {file}; start from the folder of the quetz."
                raise RejectedError(message)
            engine = create_engine(f"sqlite:///file:{file}?mode=ro&uri=true")
        elif known.get_backend_name() == "postgresql":
            engine = create_engine(known.set(drivername="postgresql+psycopg"))
        else:
            message = "The database of a quetz is SQLite or PostgreSQL; this is neither."
            raise RejectedError(message)
    except (NoSuchModuleError, ImportError) as error:
        message = "PostgreSQL needs the extra: pip install 'repocore[postgres]'."
        raise ConfigurationError(message) from error
    except SQLAlchemyError as error:
        message = "database_url is no URL of a database."
        raise RejectedError(message) from error
    try:
        with engine.connect() as connection:
            yield OldDatabase(connection)
    except SQLAlchemyError as error:
        message = f"The database cannot be read ({type(error).__name__}): is it a quetz's, and up?"
        raise RejectedError(message) from error
    finally:
        engine.dispose()


def _id(value: Any) -> str:
    """A user's number in hex; databases keep it as bytes, or as a UUID."""
    if value is None:
        return ""
    return value.hex if isinstance(value, uuid.UUID) else bytes(value).hex()


def _info(text: Any) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _zoned(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
