"""Several who upload the same file at the same time, each with bytes of their own (T52)."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from tests_manifest import manifest

import repocore
from repocore import Policy, hookimpl
from repocore.errors import ImmutableFileError

MAIN = "conan/main"
BASE = "zlib/1.3/_/_/r1/export"
MANY = 8


@pytest.fixture
def together(settings, request: pytest.FixtureRequest):
    """A registry in which uploads of that name wait for each other, before any is committed."""
    barrier = Barrier(MANY)

    class Together:
        @hookimpl
        def repocore_validate(self, path: repocore.FilePath) -> None:
            if path.name == "conanmanifest.txt":
                barrier.wait(60)

    with repocore.open_registry(settings=settings, plugins=[Together()]) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(MAIN, policy=Policy(overwrite=request.param))
        yield registry


def race(registry: repocore.Registry, bodies: list[bytes]) -> list[object]:
    """What each of them is told: a file, or an error."""
    path = f"{BASE}/conanmanifest.txt"

    def one(body: bytes) -> object:
        try:
            return registry.session(registry.admin()).files.put(MAIN, path, io.BytesIO(body))
        except repocore.RepocoreError as error:
            return error

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(one, bodies))


def manifests() -> list[bytes]:
    return [manifest("conanfile.py") + b"\n" * number for number in range(MANY)]


def served(registry: repocore.Registry) -> bytes:
    session = registry.session(registry.admin())
    with session.files.open(MAIN, f"{BASE}/conanmanifest.txt") as stream:
        return stream.read()


@pytest.mark.parametrize("together", [False], indirect=True)
def test_exactly_one_wins_where_nothing_may_be_replaced(together: repocore.Registry) -> None:
    """The others are told that it is there, and their bytes are the collector's."""
    session = together.session(together.admin())
    session.files.put(MAIN, f"{BASE}/conanfile.py", io.BytesIO(b"recipe"))
    bodies = manifests()
    told = race(together, bodies)
    [winner] = [place for place, one in enumerate(told) if isinstance(one, repocore.File)]
    assert sum(isinstance(one, ImmutableFileError) for one in told) == MANY - 1
    assert served(together) == bodies[winner]
    assert len(session.releases.list(MAIN, "zlib/1.3@_/_")) == 1
    assert session.upkeep.collect(grace=timedelta(0)).blobs == MANY - 1
    assert session.upkeep.check(read_data=True).ok
    assert served(together) == bodies[winner]


@pytest.mark.parametrize("together", [True], indirect=True)
def test_the_last_one_is_there_where_it_may_be_replaced(together: repocore.Registry) -> None:
    """Each is told so; what is served is what one of them sent, whole."""
    session = together.session(together.admin())
    session.files.put(MAIN, f"{BASE}/conanfile.py", io.BytesIO(b"recipe"))
    bodies = manifests()
    told = race(together, bodies)
    assert [one.digest for one in told if isinstance(one, repocore.File)] == [
        hashlib.sha256(body).hexdigest() for body in bodies
    ]
    assert served(together) in bodies
    assert len(session.releases.list(MAIN, "zlib/1.3@_/_")) == 1
    session.upkeep.collect(grace=timedelta(0))
    assert session.upkeep.check(read_data=True).ok
    assert served(together) in bodies
