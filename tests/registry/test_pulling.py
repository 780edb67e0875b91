"""A replica takes over what its primary has: all of it, in whole partitions, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from replica_house import Pair, contents, differences, pair

import repocore


@pytest.fixture
def two(tmp_path: Path, database_url: str) -> Iterator[Pair]:
    with pair(tmp_path, database_url) as made:
        yield made


def document(registry: repocore.Registry, path: str = "noarch/repodata.json") -> bytes:
    session = registry.session(registry.admin())
    with session.files.open("conda/main", path) as stream:
        return stream.read()


def test_a_replica_becomes_what_its_primary_is(two: Pair) -> None:
    """Rows, bytes and documents; a second look brings nothing."""
    two.recipe("r1")
    two.package("r1", "p1")
    two.put("conan/main", "zlib/1.3/_/_/r1/export/metadata/log.txt", b"log")
    two.conda("tide")
    two.conda("wave")
    two.admin.accounts.add("ann", "correct horse")
    replica = two.replica()
    report = two.sync(replica)
    assert differences(two.primary, replica) == {}
    for address in ("conan/main", "conda/main"):
        assert contents(replica, address) == contents(two.primary, address) != {}
    assert document(replica) == document(two.primary)
    assert (report.releases, report.missing) == (4, 0)
    assert two.sync(replica).fetched == 0
    assert replica.session(replica.admin()).replica.status().ok
    assert replica.session(replica.admin()).upkeep.check(read_data=True).ok


def test_changes_and_deletions_follow(two: Pair) -> None:
    """What was deleted there disappears; what was yanked, replaced or added is as it is there."""
    two.recipe("r1")
    two.recipe("r2")
    two.conda("tide")
    two.conda("wave")
    replica = two.replica()
    two.sync(replica)
    two.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
    two.admin.releases.yank("conda/main", "noarch", "tide-1.0-0.tar.bz2")
    two.put("conan/main", "zlib/1.3/_/_/r2/export/conanfile.py", b"another recipe")
    two.conda("tide2")
    two.admin.repositories.create("conda/new", private=True)
    assert not replica.session(replica.admin()).replica.status().ok
    two.sync(replica)
    assert differences(two.primary, replica) == {}
    assert contents(replica, "conan/main") == contents(two.primary, "conan/main")
    assert document(replica) == document(two.primary)
    two.admin.repositories.delete("conda/main")
    two.sync(replica)
    assert differences(two.primary, replica) == {}
