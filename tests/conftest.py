"""What every test may ask for: a database of each kind, a storage of each kind, and no network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, Phase, settings
from loopback import only_loopback
from postgres_cluster import Databases, NoPostgresError, databases

from repocore.catalog import Catalog
from repocore.config import PluginSettings, Settings
from repocore.registry import passwords

# Without the extra [s3] nothing is stored in objects here.
pytest_plugins = ["object_stores"] if find_spec("botocore") else []

# Shared cores make time a poor judge: there is no deadline, and slow data is not an error.
PROFILE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("dev", max_examples=50, **PROFILE)
settings.register_profile("ci", max_examples=100, **PROFILE)
settings.register_profile("nightly", max_examples=5000, **PROFILE)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)

# Tests of these folders and files start whole servers and clients, or try very many cases.  What
# they reach is no measure of the tests beside the code, and tracing would take half as long again.
UNTRACED = {"access", "clients", "docs", "kill", "machines", "memory", "promises", "servers"}
UNTRACED |= {"faults", "histories", "soak"}
UNTRACED |= {"test_moving.py", "test_serving.py"}
# What there is on PostgreSQL only.
TRACED = "procrastinate"
# Tests that are about how tables are made.
OWN_TABLES = ("test_migrations", "tests/disk", "tests/kill", "test_backends", "first_start")
# Where coverage tells a process that is started from a test to trace itself.
TRACING = "COVERAGE_PROCESS_CONFIG"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is run without tracing."""
    here = Path(__file__).parent
    for item in items:
        inside = item.path.relative_to(here).parts if item.path.is_relative_to(here) else ()
        # What runs on PostgreSQL runs on SQLite as well, and is traced there.
        twice = item.get_closest_marker("postgres") and TRACED not in inside
        if UNTRACED & {*inside} or twice:
            item.add_marker(pytest.mark.no_cover)
        if inside[:1] == ("s3",):
            item.add_marker(pytest.mark.s3)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Have what an untraced test starts be untraced as well."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("no_cover"):
            patch.delenv(TRACING, raising=False)
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    with only_loopback():
        yield


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """What makes a stolen hash worthless takes most of the time of a test with passwords.

    Servers that tests start hash as ever, and `test_passwords_cost_what_they_should` looks at it.
    """
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", cheap)
        patch.setattr(passwords, "_NOBODY", cheap.hash("nobody"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _ready_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new catalog on SQLite begins as a copy of one whose tables were made once.

    To make them takes half of the time of opening a registry, thousands of which are opened here.
    The tests of migrations make their own, and so do servers that tests start.
    """
    template = tmp_path_factory.mktemp("template") / "catalog.db"
    migrate = Catalog.migrate

    def ready(catalog: Catalog, *told: Any) -> None:
        path = getattr(catalog.dialect, "_path", None)
        asked = os.environ.get("PYTEST_CURRENT_TEST", "")
        if path and not Path(path).stat().st_size and not any(one in asked for one in OWN_TABLES):
            if not template.exists():
                made = Catalog(f"sqlite:///{template}", folder=template.parent)
                migrate(made)
                made.close()
            shutil.copyfile(template, path)  # which keeps the mode of the one that is there
        migrate(catalog, *told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Catalog, "migrate", ready)
        yield


@pytest.fixture
def any_failure() -> Iterator[None]:
    """Hypothesis ends at the first failure: nobody reads which is the smallest."""
    name = settings.get_current_profile_name()
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("any failure", parent=settings.get_profile(name), phases=phases)
    settings.load_profile("any failure")
    yield
    settings.load_profile(name)


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[Databases]:
    """PostgreSQL for this process; REPOCORE_TEST_POSTGRES is 0, require, or a server's URL."""
    wanted = os.environ.get("REPOCORE_TEST_POSTGRES")
    try:
        with databases(wanted) as opened:
            yield opened
    except NoPostgresError as problem:
        if wanted in {None, "", "0"}:
            pytest.skip(str(problem))
        raise


@pytest.fixture(scope="session")
def postgres_tables(
    postgres_databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The name of a database whose tables were made once, to be copied."""

    def migrate(url: str) -> None:
        made = Catalog(url, folder=tmp_path_factory.mktemp("made"))
        made.migrate()
        made.close()

    with postgres_databases.template(migrate) as name:
        yield name


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without rows: a file of this test, or a new one of PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.db'}"
        return
    server: Databases = request.getfixturevalue("postgres_databases")
    own = any(one in request.node.nodeid for one in OWN_TABLES)
    template = "template0" if own else request.getfixturevalue("postgres_tables")
    with server.fresh(template) as url:
        yield url


@pytest.fixture(
    scope="module",
    params=[
        "sqlite-disk",
        pytest.param("postgres-s3", marks=[pytest.mark.postgres, pytest.mark.s3]),
    ],
)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """What one server has, and what a fleet has: where a module's registry keeps everything."""
    folder = tmp_path_factory.mktemp("registry")
    if request.param == "sqlite-disk":
        yield Settings(data=folder)
        return
    if not find_spec("botocore"):
        pytest.skip("no botocore is installed: pip install 'repocore[s3]'")
    corner = request.getfixturevalue("store").place()
    server: Databases = request.getfixturevalue("postgres_databases")
    with server.fresh(request.getfixturevalue("postgres_tables")) as url:
        plugins = PluginSettings(tables={"s3": corner.table()})
        yield Settings(data=folder, catalog=url, storage=corner.url, plugins=plugins)
