"""The database of an old quetz, in both kinds and from several releases."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from channel_pool import package
from old_quetz import TABLES, OldDeployment

from repocore.errors import RejectedError
from repocore.plugins.quetz.old_database import OldChannel, OldDatabase, open_old_database

KEY = "OldKeyOldKeyOldKeyOldKeyOldKey12"


def test_rows_become_values(tmp_path: Path) -> None:
    """Everybody with what belongs to them, and what is no longer good left out."""
    old = OldDeployment.make(tmp_path / "quetz")
    mike, robot = old.user("mike", "member"), old.user(None)
    old.channel("main", private=True, size_limit=5, ttl=7)
    old.channel("near", mirror_channel_url="http://far.example", mirror_mode="mirror")
    old.member("main", mike, "owner")
    old.member("main", robot, "member", "tide")
    old.key(KEY, robot, mike, expire_at="2099-01-02")
    old.key("gone", mike, deleted=True)
    tide = package("noarch", "tide-1.0-0.conda")
    old.package("main", tide, downloads=3)
    with open_old_database(f"sqlite:///{old.folder / 'quetz.sqlite'}") as database:
        people = {one.name: one for one in database.users()}
        assert people["mike"].identities == (("github", "id-of-mike"),)
        assert (people["mike"].email, people["mike"].display_name) == (
            "mike@people.example",
            "Mike",
        )
        assert [one.name for one in database.channels()] == ["main", "near"]
        assert [one.mode for one in database.channels()] == ["", "mirror"]
        assert [(one.role, one.package) for one in database.members()] == [
            ("owner", None),
            ("member", "tide"),
        ]
        [key] = database.api_keys()
        assert (key.secret, key.user, key.owner) == (KEY, robot.hex(), mike.hex())
        assert key.expires == date(2099, 1, 2)
        assert KEY not in repr(key)
        [version] = database.versions("main")
        assert (version.filename, version.sha256, version.downloads) == (tide.file, tide.sha256, 3)
        assert version.came == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_columns_that_an_older_release_lacks(tmp_path: Path) -> None:
    """Have the value that they had before there were any."""
    old = OldDeployment.make(tmp_path / "quetz")
    old.channel("main")
    for table, column in (
        ("channels", "ttl"),
        ("channels", "size_limit"),
        ("api_keys", "expire_at"),
        ("package_versions", "download_count"),
    ):
        old.run(f"ALTER TABLE {table} DROP COLUMN {column}")
    old.key(KEY, old.user("mike"))
    old.package("main", package("noarch", "tide-1.0-0.conda"), downloads=None)
    with open_old_database(f"sqlite:///{old.folder / 'quetz.sqlite'}") as database:
        assert database.channels() == [OldChannel(name="main", description="The main.")]
        assert [one.expires for one in database.api_keys()] == [None]
        assert [one.downloads for one in database.versions("main")] == [0]


def test_nothing_can_be_written(tmp_path: Path) -> None:
    """The file is opened for reading only."""
    old = OldDeployment.make(tmp_path / "quetz")
    with (
        pytest.raises(RejectedError, match="cannot be read"),
        open_old_database(f"sqlite:///{old.folder / 'quetz.sqlite'}") as database,
    ):
        database._connection.exec_driver_sql("DELETE FROM users")


@pytest.mark.postgres
def test_the_same_in_postgresql(postgres_databases) -> None:
    """Where bytes are bytea, or UUIDs, and rows come from a cursor of the server."""
    mike = uuid.uuid4()
    with postgres_databases.fresh() as url:
        plain = url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(plain) as connection:
            for statement in _postgresql().split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute("INSERT INTO users VALUES (%s, 'mike', 'owner')", [mike.bytes])
            connection.execute("INSERT INTO profiles VALUES ('Mike', '', %s)", [mike.bytes])
            connection.execute("INSERT INTO channels (name, private) VALUES ('main', true)")
            for number in range(1200):
                connection.execute(
                    "INSERT INTO package_versions (id, channel_name, platform, filename, info,"
                    " download_count, time_created)"
                    " VALUES (%s, 'main', 'noarch', %s, '{}', 1, '2024-05-06 07:08:09')",
                    [uuid.uuid4().bytes, f"a-{number}-0.conda"],
                )
        with open_old_database(plain) as database:
            _check(database, mike)


def _check(database: OldDatabase, mike: uuid.UUID) -> None:
    [user] = database.users()
    assert (user.id, user.name, user.deleted) == (mike.hex, "mike", False)
    [channel] = database.channels()
    assert (channel.name, channel.private, channel.ttl) == ("main", True, 36000)
    found: list[Any] = list(database.versions("main"))
    assert len({one.filename for one in found}) == 1200
    assert found[0].came == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def _postgresql() -> str:
    """The same tables in PostgreSQL's words."""
    words = {"BLOB": "BYTEA", " COLLATE nocase": "", "DATETIME": "TIMESTAMP WITH TIME ZONE"}
    text = TABLES
    for ours, theirs in words.items():
        text = text.replace(ours, theirs)
    return f"SET timezone = 'UTC'; {text}"
