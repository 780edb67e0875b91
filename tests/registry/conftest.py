"""A registry on each database, a Conan repository in it, and short words for uploads."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from replica_house import Pair, pair
from tests_manifest import manifest

import repocore
from repocore import Action, Policy, Principal, Registry, Rule, Session
from repocore.config import Settings

MAIN = "conan/main"


@attrs.frozen
class House:
    """An opened registry, and what tests do with it all the time."""

    registry: Registry
    settings: Settings

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def as_(self, name: str | None, *groups: str, scope: tuple[Rule, ...] | None = None) -> Session:
        who = Principal(name=name, groups=frozenset(groups), scope=scope, via="test")
        return self.registry.session(who)

    def allow(self, subject: str, actions: str, pattern: str) -> Rule:
        return self.admin.accounts.add_rule(
            Rule(subject=subject, actions=repocore.actions_of(actions.split(",")), pattern=pattern)
        )

    def put(self, path: str, content: bytes, session: Session | None = None) -> repocore.File:
        return (session or self.admin).files.put(MAIN, path, io.BytesIO(content))

    def recipe(self, rrev: str, reference: str = "zlib/1.3/_/_", extra: bytes = b"") -> None:
        self.put(f"{reference}/{rrev}/export/conanfile.py", b"recipe " + rrev.encode() + extra)
        self.put(f"{reference}/{rrev}/export/conanmanifest.txt", manifest("conanfile.py"))

    def package(self, rrev: str, prev: str, package_id: str = "pid") -> None:
        base = f"zlib/1.3/_/_/{rrev}/package/{package_id}/{prev}"
        self.put(f"{base}/conan_package.tgz", b"archive " + prev.encode())
        self.put(f"{base}/conaninfo.txt", b"[settings]\nos=Linux\n")
        self.put(f"{base}/conanmanifest.txt", manifest("lib/libz.a"))

    def listing(self) -> list[tuple[str, str]]:
        return [(str(file.path), file.digest) for file in self.admin.files.list(MAIN)]


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data=tmp_path / "data", catalog=database_url)


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with repocore.open_registry(settings=settings) as registry:
        registry.session(registry.admin()).repositories.create(MAIN)
        yield House(registry, settings)


@pytest.fixture
def quota(house: House) -> House:
    house.admin.repositories.configure(MAIN, policy=Policy(quota=100))
    return house


@pytest.fixture
def reader(house: House) -> Session:
    house.allow("user:reader", Action.READ.value, "conan/main/**")
    return house.as_("reader")


@pytest.fixture
def overtaken() -> Callable[[Any, Callable[[], object]], None]:
    """Let somebody else be first at the lock of a thing: they do their work and are gone."""

    def arrange(thing: Any, work: Callable[[], object]) -> None:
        lock = thing._lock

        class Busy:
            def __enter__(self) -> None:
                thing._lock = lock
                work()
                lock.acquire()

            def __exit__(self, *_error: object) -> None:
                lock.release()

        thing._lock = Busy()

    return arrange


@pytest.fixture
def two(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Pair]:
    """A primary that serves, and what its replicas are told; both on a database of that kind."""
    with ExitStack() as stack:
        made = stack.enter_context(pair(tmp_path, database_url))
        if database_url.startswith("postgresql"):
            server = request.getfixturevalue("postgres_databases")
            template = request.getfixturevalue("postgres_tables")
            made.catalog = stack.enter_context(server.fresh(template))
        yield made
        # Its replicas let go of their database before that is dropped.
        made.close()
