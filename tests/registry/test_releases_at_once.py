"""Several releases in one transaction: all of them change, or none does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from sqlalchemy import create_engine, text

import repocore
from repocore import (
    AccessDeniedError,
    NotAuthenticatedError,
    RejectedError,
    ReleaseMissingError,
    RepositoryMissingError,
)
from repocore.registry import AT_ONCE

MAIN = "conan/main"
ZLIB = "zlib/1.3@_/_"
PNG = "png/1.6@_/_"


@pytest.fixture
def stocked(house):
    """Two revisions of one recipe, one of another."""
    for rrev, reference in (("r1", "zlib/1.3/_/_"), ("r2", "zlib/1.3/_/_"), ("q1", "png/1.6/_/_")):
        house.recipe(rrev, reference)
    return house


def listed(house) -> set[str]:
    """What is in the lists of both partitions."""
    room = house.admin.releases
    return {one.name for partition in (ZLIB, PNG) for one in room.list(MAIN, partition)}


def test_releases_of_several_partitions_are_yanked_together(stocked) -> None:
    """They come back the same way; doing it again changes nothing."""
    room = stocked.admin.releases
    pairs = [(ZLIB, "r1"), (PNG, "q1"), (ZLIB, "r1")]
    yanked = room.yank_all(MAIN, pairs)
    assert [(one.name, one.yanked_at is None) for one in yanked] == [("r1", False), ("q1", False)]
    assert listed(stocked) == {"r2"}
    assert [one.yanked_at for one in room.yank_all(MAIN, pairs)] == [o.yanked_at for o in yanked]
    assert [one.yanked_at for one in room.yank_all(MAIN, pairs, False)] == [None, None]
    assert listed(stocked) == {"r1", "r2", "q1"}


def test_one_that_is_missing_keeps_all_from_being_yanked(stocked) -> None:
    """The message names it."""
    room = stocked.admin.releases
    with pytest.raises(ReleaseMissingError, match=r"There is no r7 in png/1\.6@_/_"):
        room.yank_all(MAIN, [(ZLIB, "r1"), (PNG, "r7")])
    assert listed(stocked) == {"r1", "r2", "q1"}


def test_releases_are_deleted_together_or_not_at_all(stocked) -> None:
    """One that is missing, or a draft, keeps all; otherwise their files go, too."""
    stocked.put("png/1.6/_/_/q2/export/conanfile.py", b"unfinished")
    room = stocked.admin.releases
    for missing in ("q2", "q9"):
        with pytest.raises(ReleaseMissingError, match=missing):
            room.delete_named(MAIN, [(ZLIB, "r1"), (PNG, missing)])
    assert listed(stocked) == {"r1", "r2", "q1"}
    assert room.delete_named(MAIN, [(ZLIB, "r1"), (PNG, "q1")]) == 2
    assert listed(stocked) == {"r2"}
    assert {path.split("/")[4] for path, _ in stocked.listing()} == {"r2"}
    assert stocked.admin.upkeep.check(read_data=True).ok


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_of_two_who_delete_one_has_deleted(stocked) -> None:
    """Both have seen it and wait for its partition; one finds it gone, and tells of nothing."""
    engine = create_engine(stocked.settings.catalog.replace("://", "+psycopg://"))
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    def delete(rrev: str) -> int:
        try:
            stocked.admin.releases.delete(MAIN, ZLIB, rrev)
        except ReleaseMissingError:
            return 0
        return 1

    with ThreadPoolExecutor(2) as pool:
        with engine.begin() as holding, engine.connect() as looking:
            holding.execute(text("SELECT serial FROM partitions FOR UPDATE"))
            done = [pool.submit(delete, "r1") for _ in range(2)]
            while looking.scalar(waiting) < 2 and not any(one.done() for one in done):
                looking.rollback()
        assert sorted(one.result() for one in done) == [0, 1]
    engine.dispose()
    records = stocked.admin.audit.list()
    assert len([one for one in records if one.kind == "release.removed"]) == 1


def test_nothing_is_a_change_of_nothing(stocked) -> None:
    """An empty list is no error."""
    assert stocked.admin.releases.yank_all(MAIN, []) == []
    assert stocked.admin.releases.delete_named(MAIN, []) == 0
    assert stocked.admin.releases.copy(MAIN, [], MAIN) == []


def test_each_release_is_asked_for(stocked) -> None:
    """Whoever may yank or delete one package touches no other with it."""
    stocked.allow("user:ann", "read,yank,delete", "conan/main/zlib/**")
    stocked.allow("user:ann", "read", "conan/main/**")
    room = stocked.as_("ann").releases
    for verb in (room.yank_all, room.delete_named):
        with pytest.raises(AccessDeniedError) as denied:
            verb(MAIN, [(ZLIB, "r1"), (PNG, "q1")])
        assert not denied.value.hidden
        with pytest.raises(AccessDeniedError) as hidden:
            stocked.as_("bob").releases.delete_named(MAIN, [(ZLIB, "r1")])
        assert hidden.value.hidden
        with pytest.raises(NotAuthenticatedError):
            stocked.as_(None).releases.yank_all(MAIN, [(ZLIB, "r9")])
    assert listed(stocked) == {"r1", "r2", "q1"}
    room.yank_all(MAIN, [(ZLIB, "r1")])
    room.delete_named(MAIN, [(ZLIB, "r2")])
    assert listed(stocked) == {"q1"}


def test_a_transaction_has_a_bound(stocked) -> None:
    """More than `AT_ONCE` would keep every other writer waiting."""
    room = stocked.admin.releases
    many = [(ZLIB, f"r{number}") for number in range(AT_ONCE + 1)]
    for verb in (room.yank_all, room.delete_named):
        with pytest.raises(RejectedError, match=f"{AT_ONCE}"):
            verb(MAIN, many)
    with pytest.raises(RejectedError):
        room.copy(MAIN, many, MAIN)
    with pytest.raises(ReleaseMissingError):
        room.delete_named(MAIN, many[1:])


def test_all_that_may_be_read_is_listed_a_page_at_a_time(house) -> None:
    """By partition and name, yanked or not; what one may not read is left out."""
    for rrev, name in (("r1", "zlib"), ("r2", "zlib"), ("r3", "zlib"), ("q1", "png")):
        house.recipe(rrev, f"{name}/1.0/_/_")
    house.admin.releases.yank(MAIN, "zlib/1.0@_/_", "r2")
    house.allow("user:ann", "read", "conan/main/zlib/**")
    every = ["png q1", "zlib r1", "zlib r2", "zlib r3"]
    limits = attrs.evolve(house.settings.limits, page=2)
    with repocore.open_registry(settings=attrs.evolve(house.settings, limits=limits)) as registry:
        paged = attrs.evolve(house, registry=registry)
        room = paged.admin.releases
        assert [f"{one.package} {one.name}" for one in room.all(MAIN)] == every
        seen = paged.as_("ann").releases.all(MAIN)
        assert [f"{one.package} {one.name}" for one in seen] == every[1:]
        with pytest.raises(AccessDeniedError):
            list(paged.as_("bob").releases.all(MAIN))
        with pytest.raises(RepositoryMissingError):
            list(room.all("conan/none"))
