"""A catalog is copied into another database and back, and is the same; or it is no catalog."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from conda_channels import note
from postgres_cluster import Databases
from tests_manifest import manifest

import repocore
from repocore import ApiKey, ConfigurationError, Password, Registry, StorageError
from repocore.catalog import Catalog
from repocore.config import Settings
from repocore.registry import copy_catalog, migrate_catalog, plan_migration
from repocore.testing.fakes import RecordingProgress

RECIPE = "zlib/1.3/_/_/{}/export"
INDEXES = ["linux-64/repodata.json", "linux-64/current_repodata.json", "channeldata.json"]


def furnish(registry: Registry) -> str:
    """Something in most tables; the secret of a token."""
    session = registry.session(registry.admin())
    session.repositories.create("conan/main")
    session.repositories.create("conda/main", description="søk")
    for name in ("r1", "r2", "r3"):
        session.files.put(
            "conan/main", f"{RECIPE.format(name)}/conanfile.py", io.BytesIO(name.encode())
        )
        session.files.put(
            "conan/main",
            f"{RECIPE.format(name)}/conanmanifest.txt",
            io.BytesIO(manifest("conanfile.py")),
        )
    session.files.put("conan/main", f"{RECIPE.format('r9')}/conanfile.py", io.BytesIO(b"draft"))
    for number in range(5):
        path = f"linux-64/tide-1.{number}-0.conda"
        session.files.put("conda/main", path, io.BytesIO(note("tide", f"1.{number}")))
    session.releases.delete("conan/main", "zlib/1.3@_/_", "r2")
    session.accounts.add("ann", "right", groups=["crew"])
    _, secret = session.accounts.create_token("ann", "kept")
    # The last number is given, and its row goes: it must not be given again.
    token, _ = session.accounts.create_token("ann", "gone")
    session.accounts.revoke_token(token.id)
    session.jobs.submit("gc")
    for path in INDEXES:
        session.files.open("conda/main", path).close()
    session.audit.seal()
    return secret


def shown(settings: Settings) -> Mapping[str, Any]:
    """What people see of a registry; byte for byte."""
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        report = session.audit.verify()
        assert report.ok
        return {
            "repositories": session.repositories.list(),
            "files": [
                (file.path, file.digest, file.size, file.created_at)
                for address in ("conan/main", "conda/main")
                for file in session.files.list(address)
            ],
            "releases": session.releases.list("conan/main", "zlib/1.3@_/_"),
            "indexes": [session.files.open("conda/main", path).read() for path in INDEXES],
            "accounts": session.accounts.list(),
            "tokens": session.accounts.tokens("ann"),
            "jobs": list(session.jobs.list()),
            "records": list(session.audit.export()),
            "seals": session.audit.seals(),
            "check": session.upkeep.check(read_data=True),
        }


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", read_only=True)


@pytest.fixture
def secret(settings: Settings) -> str:
    with repocore.open_registry(settings=attrs.evolve(settings, read_only=False)) as registry:
        return furnish(registry)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind without a table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'copy.db'}"
        return
    server: Databases = request.getfixturevalue("postgres_databases")
    with server.fresh() as url:
        yield url


def test_a_copy_shows_the_same(settings: Settings, secret: str, empty: str, tmp_path: Path) -> None:
    """There, and back again; everything goes on from where it was."""
    before = shown(settings)
    progress = RecordingProgress()
    there = copy_catalog(settings, empty, progress=progress)
    assert not there.changed
    assert there.record == before["records"][-1].id
    rows = {one.name: one.rows for one in there.tables}
    assert rows["accounts"] == 1
    assert rows["releases"] >= 8
    assert progress.steps == sum(rows.values())
    assert {f"Copying {name}" for name in rows} == {message for message, _ in progress.phases}
    copied = attrs.evolve(settings, catalog=empty)
    assert shown(copied) == before
    home = "sqlite:///home.db"
    back = copy_catalog(copied, home)
    assert back.tables == there.tables
    assert shown(attrs.evolve(settings, catalog=home)) == before
    for catalog in (settings.catalog, empty, home):
        goes_on(attrs.evolve(settings, catalog=catalog, read_only=False), secret)


def goes_on(settings: Settings, secret: str) -> None:
    """People sign in, and what is new has numbers that nothing has had."""
    with repocore.open_registry(settings=settings) as registry:
        assert registry.authenticate(ApiKey(secret)).name == "ann"
        assert registry.authenticate(Password("ann", "right")).groups == {"crew"}
        session = registry.session(registry.admin())
        last = max(one.id for one in session.audit.list())
        token, _ = session.accounts.create_token("ann", "new")
        assert token.id == 3
        assert session.jobs.submit("check").id == 2
        assert min(one.id for one in session.audit.list(limit=2)) > last
        session.files.put(
            "conan/main",
            "zlib/1.3/_/_/r9/export/conanmanifest.txt",
            io.BytesIO(manifest("conanfile.py")),
        )
        assert session.releases.latest("conan/main", "zlib/1.3@_/_").name == "r9"
        session.repositories.create("conan/other")
        session.accounts.add("bob")


def test_a_copy_of_what_is_in_use_says_what_it_lacks(
    settings: Settings, secret: str, empty: str
) -> None:
    """It is the state of one moment; who changes something meanwhile is not held up."""
    assert secret
    busy = attrs.evolve(settings, read_only=False)
    with pytest.raises(ConfigurationError, match="their changes would be missing"):
        copy_catalog(busy, empty)
    with repocore.open_registry(settings=busy) as registry:
        session = registry.session(registry.admin())
        record = session.audit.list(limit=1)[0].id

        class Writing(RecordingProgress):
            def start(self, total: int | None, message: str) -> None:
                if message == "Copying accounts":
                    session.accounts.add("meanwhile")
                super().start(total, message)

        done = copy_catalog(busy, empty, in_use=True, progress=Writing())
        assert len(session.accounts.list()) == 2
    assert (done.changed, done.record) == (True, record)
    with repocore.open_registry(settings=attrs.evolve(settings, catalog=empty)) as registry:
        found = registry.session(registry.admin()).accounts.list()
        assert [account.name for account in found] == ["ann"]


def test_a_database_with_tables_is_refused(settings: Settings, secret: str, empty: str) -> None:
    """Ours, or somebody's of such a name; it stays as it was."""
    assert secret
    run(empty, "CREATE TABLE jobs (id INTEGER)")
    with pytest.raises(ConfigurationError, match="has tables; copy into an empty one"):
        copy_catalog(settings, empty)
    run(empty, "DROP TABLE jobs")
    copy_catalog(settings, empty)
    with pytest.raises(ConfigurationError, match="has tables; copy into an empty one"):
        copy_catalog(settings, empty)
    assert shown(attrs.evolve(settings, catalog=empty))["accounts"]


def run(url: str, statement: str) -> None:
    if url.startswith("sqlite:///"):
        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute(statement)
    else:
        with psycopg.connect(url) as server:
            server.execute(statement)


class Deadly(RecordingProgress):
    """Kills its process in the middle of a table."""

    def advance(self, steps: int = 1) -> None:
        super().advance(steps)
        if self.phases[-1][0] == "Copying releases":
            os.kill(os.getpid(), signal.SIGKILL)


def die(settings: Settings, url: str) -> None:
    copy_catalog(settings, url, progress=Deadly())


def test_a_copy_that_died_is_no_catalog(settings: Settings, secret: str, empty: str) -> None:
    """Nobody takes it for one: neither a server nor a second copy."""
    assert secret
    process = multiprocessing.get_context("spawn").Process(target=die, args=(settings, empty))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    half = attrs.evolve(settings, catalog=empty)
    uses: list[Callable[[], object]] = [
        lambda: repocore.open_registry(settings=half),
        lambda: copy_catalog(settings, empty),
        lambda: copy_catalog(half, "sqlite:///third.db"),
        lambda: migrate_catalog(half),
        lambda: plan_migration(half),
    ]
    for use in uses:
        with pytest.raises(ConfigurationError, match="was begun and did not end"):
            use()
    assert shown(settings)["accounts"]


def test_what_is_read_again_is_compared(settings: Settings, secret: str, empty: str) -> None:
    """A copy that somebody has written to meanwhile is none."""
    assert secret

    class Meddling(RecordingProgress):
        def start(self, total: int | None, message: str) -> None:
            if message == "Copying tokens":
                run(empty, "UPDATE accounts SET email = 'x'")
            super().start(total, message)

    with pytest.raises(StorageError, match="The copy of accounts is not the same"):
        copy_catalog(settings, empty, progress=Meddling())
    with pytest.raises(ConfigurationError, match="did not end"):
        repocore.open_registry(settings=attrs.evolve(settings, catalog=empty))


@pytest.mark.postgres
def test_a_character_that_a_database_does_not_know_is_told(
    settings: Settings, secret: str, postgres_databases: Databases
) -> None:
    """SQLite keeps NUL in a text, PostgreSQL does not."""
    assert secret
    own = f"sqlite:///{settings.data / 'catalog.db'}"
    run(own, "UPDATE accounts SET email = 'a' || char(0) || 'b'")
    told = pytest.raises(ConfigurationError, match="cannot hold a row of accounts between 1")
    with postgres_databases.fresh() as url, told:
        copy_catalog(settings, url)


def test_a_newer_or_older_catalog_is_not_copied(
    settings: Settings, secret: str, empty: str
) -> None:
    """A column that this version does not know would be missing; an older one is migrated first."""
    assert secret
    own = f"sqlite:///{settings.data / 'catalog.db'}"
    run(own, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match=r"newer repocore \(schema 9999\); copy it by"):
        copy_catalog(settings, empty)
    run(own, "UPDATE alembic_version SET version_num = '0006'")
    with pytest.raises(ConfigurationError, match="run `repocore migrate`"):
        copy_catalog(settings, empty)


def test_migrating_tells_of_every_step(settings: Settings) -> None:
    """From nothing to now; the second time there is none."""
    plan = plan_migration(settings)
    assert plan.revision is None
    assert plan.pending[0].name == "0001"
    progress = RecordingProgress()
    assert migrate_catalog(settings, progress) == tuple(one.name for one in plan.pending)
    assert progress.steps == len(plan.pending)
    assert migrate_catalog(settings) == ()
    after = plan_migration(settings)
    assert (after.revision, after.pending) == (plan.newest, ())


def test_a_catalog_that_is_refused_leaves_nothing_open(tmp_path: Path) -> None:
    """A program may go on without it."""
    catalog = Catalog("sqlite:///none.db", folder=tmp_path)
    with pytest.raises(ConfigurationError, match="no tables yet"):
        catalog.require_current()
    assert catalog.dialect.engine.pool.checkedout() == 0
