"""How many files a repository may have: counted in the transaction, on each database."""

from __future__ import annotations

import io
import threading

import pytest

from repocore import Policy, QuotaExceededError

MAIN, OTHER = "conan/main", "conan/other"
BASE = "zlib/1.3/_/_/r1/export"


@pytest.fixture
def three(house):
    """A repository that takes three files."""
    house.admin.repositories.configure(MAIN, policy=Policy(max_files=3))
    return house


class Untouchable(io.RawIOBase):
    """A body that fails the test when it is read."""

    def read(self, _size: int = -1) -> bytes:
        raise AssertionError("the body was read")


def test_a_file_too_many_is_refused_before_its_body(three) -> None:
    """Replacing one that is there needs no place."""
    three.recipe("r1")
    three.put(f"{BASE}/metadata/a", b"1")
    with pytest.raises(QuotaExceededError):
        three.admin.files.put(MAIN, f"{BASE}/metadata/b", Untouchable())
    three.put(f"{BASE}/metadata/a", b"2")
    assert len(three.listing()) == 3


def test_deleting_makes_room(three) -> None:
    """A file, or a whole release with all its files."""
    three.recipe("r1")
    three.put(f"{BASE}/metadata/a", b"1")
    three.admin.files.delete(MAIN, f"{BASE}/metadata/a")
    three.put(f"{BASE}/metadata/b", b"1")
    three.admin.releases.delete_named(MAIN, [("zlib/1.3@_/_", "r1")])
    three.recipe("r2")
    three.put("zlib/1.3/_/_/r2/export/metadata/a", b"1")
    with pytest.raises(QuotaExceededError):
        three.put("zlib/1.3/_/_/r2/export/metadata/b", b"1")


def test_a_limit_counts_what_is_there_already(house) -> None:
    """Also one that comes beside a quota of bytes, and one that is taken away and comes back."""
    house.recipe("r1")
    configure = house.admin.repositories.configure
    configure(MAIN, policy=Policy(max_files=2, quota=10_000))
    with pytest.raises(QuotaExceededError):
        house.recipe("r2")
    configure(MAIN, policy=Policy(quota=10_000))
    house.recipe("r2")
    configure(MAIN, policy=Policy(max_files=5))
    house.put(f"{BASE}/metadata/a", b"1")
    with pytest.raises(QuotaExceededError):
        house.put(f"{BASE}/metadata/b", b"1")
    configure(MAIN, policy=Policy(max_files=100, quota=1))
    with pytest.raises(QuotaExceededError):
        house.put(f"{BASE}/metadata/b", b"1")


def test_copies_count_where_they_go(house) -> None:
    """All of them or none."""
    house.admin.repositories.create(OTHER, policy=Policy(max_files=3))
    house.recipe("r1")
    house.recipe("r2")
    pairs = [("zlib/1.3@_/_", name) for name in ("r1", "r2")]
    with pytest.raises(QuotaExceededError):
        house.admin.releases.copy(MAIN, pairs, OTHER)
    assert list(house.admin.files.list(OTHER)) == []
    house.admin.releases.copy(MAIN, pairs[:1], OTHER)
    assert len(list(house.admin.files.list(OTHER))) == 2


def test_an_archive_that_takes_the_place_of_another_leaves_one(house) -> None:
    """What goes with it is given back."""
    house.admin.repositories.configure(MAIN, policy=Policy(max_files=4))
    house.recipe("r1")
    for suffix in ("tgz", "tzst", "txz", "tgz"):
        house.put(f"{BASE}/conan_export.{suffix}", b"archive " + suffix.encode())
    house.put(f"{BASE}/metadata/a", b"1")
    assert len(house.listing()) == 4


def test_of_many_at_once_no_more_are_taken_than_fit(house) -> None:
    """The last place goes to one of them."""
    house.admin.repositories.configure(MAIN, policy=Policy(max_files=5))
    house.recipe("r1")
    refused: list[str] = []

    def upload(name: str) -> None:
        try:
            house.put(f"{BASE}/metadata/{name}", name.encode())
        except QuotaExceededError:
            refused.append(name)

    threads = [threading.Thread(target=upload, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [path[-1] for path, _ in house.listing() if "metadata" in path]
    assert len(refused) == 5
    assert sorted([*refused, *found]) == list("abcdefgh")
