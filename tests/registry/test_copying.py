"""Copy and promote: releases in another repository, all of them or none."""

from __future__ import annotations

import io

import pytest

from repocore import (
    AccessDeniedError,
    ImmutableFileError,
    Policy,
    RejectedError,
    ReleaseMissingError,
    StorageError,
    UploadRejectedError,
    hookimpl,
)

MAIN = "conan/main"
STABLE = "conan/stable"
ZLIB = "zlib/1.3@_/_"


@pytest.fixture
def both(house):
    house.admin.repositories.create(STABLE)
    house.recipe("r1")
    house.recipe("r2")
    return house


def released(house, address: str) -> list[str]:
    return [release.name for release in house.admin.releases.list(address, ZLIB)]


def test_a_copy_is_there_at_once_and_moves_no_bytes(both) -> None:
    """The same files, of the same blobs; the source stays."""
    before = sorted(map(str, both.registry.storage.keys()))
    made = both.admin.releases.copy(MAIN, [(ZLIB, "r1"), (ZLIB, "r2")], STABLE)
    assert len(made) == 4
    assert released(both, STABLE) == ["r2", "r1"]
    assert released(both, MAIN) == ["r2", "r1"]
    assert sorted(map(str, both.registry.storage.keys())) == before
    path = "zlib/1.3/_/_/r1/export/conanfile.py"
    with both.admin.files.open(STABLE, path) as copy, both.admin.files.open(MAIN, path) as source:
        assert copy.read() == source.read()


def test_a_copy_outlives_its_source(both) -> None:
    """Deleting one repository takes nothing from another."""
    both.admin.releases.copy(MAIN, [(ZLIB, "r1")], STABLE)
    both.admin.repositories.delete(MAIN)
    with both.admin.files.open(STABLE, "zlib/1.3/_/_/r1/export/conanfile.py") as stream:
        assert stream.read() == b"recipe r1"


def test_what_is_yanked_is_not_copied(both) -> None:
    """It was withdrawn; nothing of the others is copied either."""
    both.admin.releases.yank(MAIN, ZLIB, "r1")
    with pytest.raises(RejectedError, match=r"r1 of conan/main/.* is yanked"):
        both.admin.releases.copy(MAIN, [(ZLIB, "r2"), (ZLIB, "r1")], STABLE)
    assert released(both, STABLE) == []


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_missing_goes_before_what_is_yanked(both, order) -> None:
    """In whatever order they are named."""
    both.admin.releases.yank(MAIN, ZLIB, "r1")
    with pytest.raises(ReleaseMissingError):
        both.admin.releases.copy(MAIN, [(ZLIB, "r1"), (ZLIB, "r9")][::order], STABLE)


def test_copying_again_changes_nothing(both) -> None:
    """Idempotent."""
    both.admin.releases.copy(MAIN, [(ZLIB, "r1")], STABLE)
    before = both.admin.releases.list(STABLE, ZLIB)
    both.admin.releases.copy(MAIN, [(ZLIB, "r1")], STABLE)
    assert both.admin.releases.list(STABLE, ZLIB) == before


def test_one_that_is_missing_copies_none(both) -> None:
    """All or nothing."""
    with pytest.raises(ReleaseMissingError):
        both.admin.releases.copy(MAIN, [(ZLIB, "r1"), (ZLIB, "r9")], STABLE)
    assert released(both, STABLE) == []


def test_other_bytes_in_the_target_copy_none(both) -> None:
    """What is published there stays as it is, and nothing else comes."""
    both.admin.repositories.configure(STABLE, policy=Policy(overwrite=False))
    base = "zlib/1.3/_/_/r2/export"
    both.admin.files.put(STABLE, f"{base}/conanfile.py", io.BytesIO(b"another recipe"))
    from tests_manifest import manifest  # noqa: PLC0415

    content = io.BytesIO(manifest("conanfile.py"))
    both.admin.files.put(STABLE, f"{base}/conanmanifest.txt", content)
    with pytest.raises(ImmutableFileError):
        both.admin.releases.copy(MAIN, [(ZLIB, "r1"), (ZLIB, "r2")], STABLE)
    assert released(both, STABLE) == ["r2"]


@pytest.mark.parametrize(
    ("granted", "promote", "may"),
    [
        ("read,write", False, True),
        ("read,write", True, False),
        ("read,promote", True, True),
        ("read,promote", False, False),
        ("read", False, False),
    ],
)
def test_copy_and_promote_are_permissions_of_their_own(both, granted, promote, may) -> None:
    """Who may upload may copy in; who may promote need not be able to upload."""
    both.allow("user:ann", "read", "conan/main/**")
    both.allow("user:ann", granted, "conan/stable/**")
    room = both.as_("ann").releases
    if may:
        assert room.copy(MAIN, [(ZLIB, "r1")], STABLE, promote=promote)
        return
    with pytest.raises(AccessDeniedError):
        room.copy(MAIN, [(ZLIB, "r1")], STABLE, promote=promote)
    assert released(both, STABLE) == []


def test_who_may_not_copy_hears_of_nothing_else(both) -> None:
    """A release that is yanked could not be copied by anybody, which is not what is in the way."""
    both.admin.releases.yank(MAIN, ZLIB, "r1")
    both.allow("user:ann", "read", "conan/**")
    with pytest.raises(AccessDeniedError):
        both.as_("ann").releases.copy(MAIN, [(ZLIB, "r1")], STABLE)


def test_copying_needs_read_of_the_source(both) -> None:
    """Else a copy would be a way to read."""
    both.allow("user:ann", "read,write", "conan/stable/**")
    with pytest.raises(AccessDeniedError):
        both.as_("ann").releases.copy(MAIN, [(ZLIB, "r1")], STABLE)


def test_a_plugin_may_veto(both) -> None:
    """A copy is asked about as an upload is."""

    class Veto:
        @hookimpl
        def repocore_validate(self, repository) -> None:
            if repository.address == STABLE:
                raise UploadRejectedError("not here")

    both.registry.plugins.register(Veto())
    with pytest.raises(UploadRejectedError):
        both.admin.releases.copy(MAIN, [(ZLIB, "r1")], STABLE)
    assert released(both, STABLE) == []


class Meanwhile:
    """Somebody who is asked about a copy, and does something else first."""

    def __init__(self, act, times: int = 1) -> None:
        self.act, self.left = act, times

    @hookimpl
    def repocore_validate(self, repository) -> None:
        if repository.address == STABLE and self.left:
            self.left -= 1
            self.act()


@pytest.mark.parametrize("change", ["delete", "yank"])
def test_what_went_meanwhile_is_not_copied(both, change) -> None:
    """Nobody sees it gone, and after that how it comes into the target."""
    room = both.admin.releases
    both.registry.plugins.register(Meanwhile(lambda: getattr(room, change)(MAIN, ZLIB, "r1")))
    with pytest.raises((ReleaseMissingError, RejectedError)):
        room.copy(MAIN, [(ZLIB, "r2"), (ZLIB, "r1")], STABLE)
    assert released(both, STABLE) == []


def test_what_changed_meanwhile_is_copied_as_it_is_now(both) -> None:
    """With the file that came while it was looked at."""
    path = "zlib/1.3/_/_/r1/export/metadata/log.txt"
    both.registry.plugins.register(Meanwhile(lambda: both.put(path, b"log")))
    made = both.admin.releases.copy(MAIN, [(ZLIB, "r1")], STABLE)
    assert path in {str(file.path) for file in made}
    assert released(both, STABLE) == ["r1"]


def test_what_never_rests_is_not_copied(both) -> None:
    """A copy begins again a few times, then says so."""
    path = "zlib/1.3/_/_/r1/export/metadata/log.txt"
    bodies = (str(number).encode() for number in range(100))
    both.registry.plugins.register(Meanwhile(lambda: both.put(path, next(bodies)), 100))
    with pytest.raises(StorageError, match="again and again"):
        both.admin.releases.copy(MAIN, [(ZLIB, "r1")], STABLE)
    assert released(both, STABLE) == []


def test_formats_do_not_mix(both) -> None:
    """A release means something in its own format only."""
    with pytest.raises(RejectedError):
        both.admin.releases.copy(MAIN, [(ZLIB, "r1")], "conda/main")
