"""Migrations: they make the tables that the code means, once, and refuse what is newer."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres_cluster import Databases
from sqlalchemy import Connection, MetaData, create_engine, make_url, select, text
from tests_manifest import manifest

import repocore
from repocore import ConfigurationError, Session
from repocore.catalog import Catalog, schema
from repocore.catalog.catalog import HEAD
from repocore.catalog.migrations import run
from repocore.catalog.tables import METADATA
from repocore.config import Settings
from repocore.registry import migrate_catalog, plan_migration


def engine_of(url: str, folder: Path):
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return create_engine(f"sqlite:///{folder / (parsed.database or '')}")
    return create_engine(parsed.set(drivername="postgresql+psycopg"))


def test_migrations_make_the_tables_of_the_code(database_url: str, tmp_path: Path) -> None:
    """A migrated catalog and the metadata do not differ."""
    catalog = Catalog(database_url, folder=tmp_path)
    catalog.migrate()
    catalog.close()
    engine = engine_of(database_url, tmp_path)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, METADATA)
    engine.dispose()
    assert found == []


def test_several_that_start_at_once_agree(database_url: str, tmp_path: Path) -> None:
    """Every process of a fleet may migrate; one of them does."""

    def start(_number: int) -> int:
        catalog = Catalog(database_url, folder=tmp_path)
        catalog.migrate()
        version = catalog.hot.version()
        catalog.close()
        return version

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, range(4))) == [1, 1, 1, 1]


def test_a_newer_catalog_is_refused_with_a_sentence(database_url: str, tmp_path: Path) -> None:
    """An older program does not touch what it does not know."""
    catalog = Catalog(database_url, folder=tmp_path)
    catalog.migrate()
    engine = engine_of(database_url, tmp_path)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE compatibility SET compatible_from = '9998'"))
    engine.dispose()
    with pytest.raises(ConfigurationError, match="newer repocore"):
        catalog.migrate()
    catalog.close()


def test_the_head_that_is_asked_for_is_the_newest() -> None:
    """The constant that saves loading Alembic names the last revision."""
    assert ScriptDirectory.from_config(run._config()).get_current_head() == HEAD


@pytest.mark.parametrize("url", ["oracle://x", "no url", "sqlite://", "sqlite:///:memory:"])
def test_a_database_that_is_none_of_ours_is_refused(url: str, tmp_path: Path) -> None:
    """The sentence says what to write instead."""
    with pytest.raises(ConfigurationError, match="catalog"):
        Catalog(url, folder=tmp_path)


def test_catalog_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Hashes and signing keys are in it: no other user of the machine reads one of its files."""
    catalog = Catalog("sqlite:///catalog.db", folder=tmp_path)
    catalog.migrate()
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.glob("catalog.db*")}
    catalog.close()
    assert len(modes) >= 3
    assert set(modes.values()) == {0}


# --------------------------------------------------------------------------- two versions at once

FUTURE = '''
"""What a later version adds.

Revision: 9000.
"""
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{head}"
compatible_from = "{compatible}"


def upgrade():
    op.create_table("ideas", sa.Column("id", sa.Integer(), primary_key=True))
    op.add_column("files", sa.Column("colour", sa.Text()))
    op.add_column("releases", sa.Column("mood", sa.Text(), nullable=False, server_default="good"))
    op.add_column("accounts", sa.Column("age", sa.Integer(), nullable=False, server_default="0"))
'''


@pytest.fixture
def upgrade(tmp_path: Path, database_url: str) -> Callable[..., None]:
    """Has a later version, with one more migration, open the catalog once."""

    def run_it(compatible: str = HEAD) -> None:
        folder = tmp_path / "later"
        folder.mkdir(exist_ok=True)
        source = FUTURE.format(head=HEAD, compatible=compatible)
        (folder / "9000_future.py").write_text(source, encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "FOLDERS", [*run.FOLDERS, folder])
            patch.setattr(schema, "HEAD", "9000")
            later = Catalog(database_url, folder=tmp_path)
            later.migrate()
            later.close()

    return run_it


def put(session: Session, name: str) -> None:
    base = f"zlib/1.3/_/_/{name}/export"
    session.files.put("conan/main", f"{base}/conanfile.py", io.BytesIO(name.encode()))
    session.files.put(
        "conan/main", f"{base}/conanmanifest.txt", io.BytesIO(manifest("conanfile.py"))
    )


def names(session: Session) -> set[str]:
    return {one.name for one in session.releases.list("conan/main", "zlib/1.3@_/_")}


def test_an_older_server_goes_on_beside_a_newer_schema(
    database_url: str, tmp_path: Path, upgrade
) -> None:
    """It reads and writes while a later version migrates, afterwards, and when it starts again."""
    settings = Settings(data=tmp_path, catalog=database_url)
    with repocore.open_registry(settings=settings) as older:
        session = older.session(older.admin())
        session.repositories.create("conan/main")
        put(session, "before")
        ended = threading.Event()
        written: list[str] = []

        def write() -> None:
            while not ended.is_set():
                put(session, f"r{len(written)}")
                written.append(f"r{len(written)}")

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            upgrade()
            ended.set()
            writing.result()
        put(session, "after")
        assert names(session) == {"before", *written, "after"}
    with repocore.open_registry(settings=settings) as older:
        session = older.session(older.admin())
        put(session, "later")
        session.accounts.add("ann", "right")
        session.releases.delete("conan/main", "zlib/1.3@_/_", "before")
        assert names(session) == {*written, "after", "later"}
        assert session.upkeep.check(read_data=True).ok
    assert plan_migration(settings).revision == "9000"
    assert migrate_catalog(settings) == ()


def test_code_of_an_older_head_uses_these_tables(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where their note says that it may; where it does not, it is refused."""
    settings = Settings(data=tmp_path, catalog=database_url)
    with repocore.open_registry(settings=settings):
        pass
    monkeypatch.setattr(schema, "HEAD", "0007")
    with pytest.raises(ConfigurationError, match="newer repocore"):
        repocore.open_registry(settings=settings)
    engine = engine_of(database_url, tmp_path)
    with engine.begin() as connection:
        connection.execute(text("UPDATE compatibility SET compatible_from = '0007'"))
    engine.dispose()
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        session.repositories.create("conan/main")
        put(session, "old")
        assert names(session) == {"old"}


def test_a_later_version_that_takes_something_away_is_refused(
    database_url: str, tmp_path: Path, upgrade
) -> None:
    """It says in its migration that older code may not use its tables."""
    settings = Settings(data=tmp_path, catalog=database_url)
    with repocore.open_registry(settings=settings):
        pass
    upgrade(compatible="9000")
    with pytest.raises(ConfigurationError, match=r"newer repocore.*install that version"):
        repocore.open_registry(settings=settings)
    with pytest.raises(ConfigurationError, match="newer repocore"):
        migrate_catalog(settings)


def test_an_older_schema_is_refused_where_the_settings_say_so(
    database_url: str, tmp_path: Path
) -> None:
    """With the command to run, which may be run by somebody else."""
    settings = Settings(data=tmp_path, catalog=database_url, migrate_at_start=False)
    with pytest.raises(ConfigurationError, match="no tables yet; run `repocore migrate`"):
        repocore.open_registry(settings=settings)
    older = Catalog(database_url, folder=tmp_path)
    older.build(lambda connection: run.upgrade(connection, "0005"))
    older.close()
    with pytest.raises(ConfigurationError, match=r"schema 0005.*run `repocore migrate`"):
        repocore.open_registry(settings=settings)
    plan = plan_migration(settings)
    assert (plan.revision, plan.newest, plan.pending[0].name) == ("0005", HEAD, "0006")
    assert all(one.summary.endswith(".") for one in plan.pending)
    assert migrate_catalog(settings) == tuple(one.name for one in plan.pending)
    assert migrate_catalog(settings) == ()
    with repocore.open_registry(settings=settings) as registry:
        assert registry.session(registry.admin()).accounts.list() == []


def test_every_revision_says_for_whom_its_tables_are() -> None:
    """From the one that introduced the note on; they are in one line, in the order of numbers."""
    scripts = ScriptDirectory.from_config(run._config())
    found = [script.revision for script in scripts.walk_revisions()][::-1]
    assert found == sorted(found)
    assert all(re.fullmatch(r"\d{4}", revision) for revision in found)
    for revision in found[found.index("0008") :]:
        module: Any = scripts.get_revision(revision).module
        assert "0008" <= module.compatible_from <= revision


@pytest.mark.postgres
def test_a_migration_lets_readers_pass(
    postgres_databases: Databases, postgres_tables: str, tmp_path: Path
) -> None:
    """It wants a table that somebody reads for long: others read it all the while."""
    with postgres_databases.fresh(postgres_tables) as url:
        catalog = Catalog(url, folder=tmp_path)
        altered = threading.Event()

        def alter() -> None:
            catalog.build(lambda c: c.execute(text("ALTER TABLE files ADD COLUMN hue TEXT")))
            altered.set()

        with ThreadPoolExecutor(1) as pool, psycopg.connect(url) as server:
            with psycopg.connect(url) as slow:
                slow.execute("SELECT count(*) FROM files")
                altering = pool.submit(alter)
                waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode LIKE 'AccessEx%'"
                while server.execute(waits).fetchone() == (0,):
                    server.commit()
                # It waits in front of us.  Were it to wait for ever, so should we.
                server.execute("SET statement_timeout = '60s'")
                assert server.execute("SELECT count(*) FROM files").fetchone() == (0,)
                server.commit()
                assert not altered.is_set()
            altering.result()
        catalog.close()


# ------------------------------------------------------------------------------- archived schemas

#: What a column holds in an archive, where its type does not tell.
HELD: dict[str, Any] = {
    "policy": "{}",
    "options": "{}",
    "format": "conan",
    "mode": "hosted",
    "tier": "site",
    "actions": "read",
    "effect": "allow",
    "pattern": "**",
    "subject": "user:ann",
    "state": "done",
    "payload": "{}",
    "removed_at": None,
    "yanked_at": None,
    "parent": None,
    "details": "{}",
    "before": None,
    "after": None,
    "rules": None,
    "disabled": False,
    "deleting": False,
}


def fill(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Put rows into every table that there is; what they are."""
    metadata = MetaData()
    metadata.reflect(connection)
    held: dict[str, list[dict[str, Any]]] = {}
    for table in metadata.sorted_tables:
        if table.name in {"alembic_version", "access", "compatibility"}:
            continue
        # Numbers are given by the database, as they were when the rows were made.
        columns = [c for c in table.c if c.name != "id"]
        rows = [{c.name: value(c, number) for c in columns} for number in (1, 2)]
        connection.execute(table.insert(), rows)
        held[table.name] = rows
    return held


def value(column: Any, number: int) -> Any:
    if column.name == "rules" and column.table.name == "access":
        return 0
    if column.foreign_keys or column.name == "repository_id":
        return number
    if column.name == "role" or (column.table.name == "roles" and column.name == "name"):
        return f"role{number}"
    kind = column.type.python_type
    if column.name in HELD and not (HELD[column.name] is None and not column.nullable):
        return HELD[column.name] if not column.primary_key else f"{HELD[column.name]}{number}"
    return {
        int: number + 40,
        str: f"{column.name}-é-{number}",
        bytes: b"\x00\xff%d" % number,
        bool: True,
    }[kind]


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005", "0006", "0007"])
def test_an_archived_schema_is_brought_up_to_date(
    database_url: str, tmp_path: Path, revision: str
) -> None:
    """With all that is in it; a registry goes on from there."""
    catalog = Catalog(database_url, folder=tmp_path)
    catalog.build(lambda connection: run.upgrade(connection, revision))
    held = catalog.build(fill)
    catalog.migrate()
    with catalog.snapshot() as connection:
        metadata = MetaData()
        metadata.reflect(connection)
        for name, rows in held.items():
            table = metadata.tables[name]
            found = [dict(row._mapping) for row in connection.execute(select(table))]
            kept = [{key: row[key] for key in rows[0] if key in row} for row in found]
            expected = [{key: row[key] for key in kept[0]} for row in rows]
            assert sorted(map(str, kept)) == sorted(map(str, expected)), name
    catalog.close()
    with repocore.open_registry(settings=Settings(data=tmp_path, catalog=database_url)) as made:
        session = made.session(made.admin())
        assert len(session.accounts.list()) == 2
        session.repositories.create("conan/main")
        put(session, "new")
        assert names(session) == {"new"}
