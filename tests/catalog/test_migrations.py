"""Migrations: they make the tables that the code means, once, and refuse what is newer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text

from repocore import ConfigurationError
from repocore.catalog import Catalog
from repocore.catalog.catalog import HEAD
from repocore.catalog.migrations import run
from repocore.catalog.tables import METADATA


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
