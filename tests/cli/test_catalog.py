"""``migrate`` and ``catalog copy``."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from repocore import open_registry
from repocore.cli.catalog import CatalogCopy
from repocore.config import load_settings


def age(data: Path, revision: str = "0007") -> None:
    """Make the catalog look as if an older version had written it."""
    with closing(sqlite3.connect(data / "catalog.db", isolation_level=None)) as file:
        file.execute("DROP TABLE compatibility")
        file.execute("DROP TABLE replication")
        file.execute("DROP INDEX jobs_unhanded")
        for column in ("task", "handed"):
            file.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
        file.execute(f"UPDATE alembic_version SET version_num = '{revision}'")


def test_what_is_pending_is_planned_and_done(house) -> None:
    """The plan changes nothing; the second time there is nothing to do."""
    age(house.data)
    shown = house("migrate", "--plan").stdout
    assert "0008" in shown
    assert "Which versions of repocore may use the tables." in shown
    plan = house.json("migrate", "--plan")
    assert plan["revision"] == "0007"
    assert plan["pending"][-1]["name"] == plan["newest"]
    done = house.json("migrate")
    assert done["done"] == [one["name"] for one in plan["pending"]]
    assert "up to date" in house("migrate").stdout
    assert house.json("migrate", "--plan")["pending"] == []
    assert "up to date" in house("migrate", "--plan").stdout


def test_every_step_is_told(program) -> None:
    """Also where there was nothing at all; typing errors make no catalog by planning."""
    assert "no installation" in program.refused("migrate", "--plan")["error"]
    assert not (program.data / "catalog.db").exists()
    shown = program("migrate").stdout.splitlines()
    assert shown[0].partition(" ")[0] == "0001"
    assert "up to date" in shown[-1]
    program("init")


def test_a_newer_catalog_that_we_may_use_is_told(house) -> None:
    """There is nothing to do."""
    with closing(sqlite3.connect(house.data / "catalog.db", isolation_level=None)) as file:
        file.execute("UPDATE alembic_version SET version_num = '9000'")
    assert "newer repocore (9000)" in house("migrate").stdout
    house("user", "list")


def test_a_server_that_may_not_migrate_says_what_to_run(house, monkeypatch) -> None:
    """And doctor says so, too; it changes nothing, whatever the settings are."""
    age(house.data)
    told = house("doctor", status=1).stdout
    assert "run `repocore migrate`" in told
    monkeypatch.setenv("REPOCORE__MIGRATE_AT_START", "false")
    assert "run `repocore migrate`" in house.refused("user", "list")["error"]
    house("config", "check")
    house("migrate")
    assert "admin" in house("user", "list").stdout


def test_a_catalog_is_copied(house, tmp_path, monkeypatch) -> None:
    """In the settings' words: read-only, or in use."""
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    assert "read_only = true" in house.refused("catalog", "copy", target)["error"]
    monkeypatch.setenv("REPOCORE__READ_ONLY", "true")
    shown = house("catalog", "copy", target).stdout
    assert "accounts" in shown
    assert "rows are as they were at" in shown
    again = house.refused("catalog", "copy", target)
    assert "has tables" in again["error"]
    other = house.json("catalog", "copy", f"sqlite:///{tmp_path / 'other.db'}", "--in-use")
    assert other["changed"] is False
    assert {one["name"]: one["rows"] for one in other["tables"]}["accounts"] == 1
    monkeypatch.setenv("REPOCORE__CATALOG", target)
    settings = load_settings(data=house.data, environ={"REPOCORE__CATALOG": target})
    with open_registry(settings=settings) as registry:
        assert [one.name for one in registry.session(registry.admin()).accounts.list()] == ["admin"]


def test_nothing_is_copied_from_nowhere(program, tmp_path) -> None:
    """A wrong folder is told before a database is made."""
    told = program.refused("catalog", "copy", f"sqlite:///{tmp_path / 'copy.db'}")
    assert "nothing to copy" in told["error"]
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize(("words", "status"), [((), 1), (("--in-use",), 0)])
def test_what_the_copy_lacks_is_told(house, tmp_path, monkeypatch, words, status) -> None:
    """By the status as well, unless one was ready for it."""
    real = CatalogCopy

    def changed(**fields: object) -> CatalogCopy:
        return real(**{**fields, "changed": True})  # type: ignore[arg-type]

    monkeypatch.setattr("repocore.registry.databases.CatalogCopy", changed)
    monkeypatch.setenv("REPOCORE__READ_ONLY", "true")
    done = house("catalog", "copy", f"sqlite:///{tmp_path / 'copy.db'}", *words, status=status)
    assert "the copy lacks it" in done.stderr
