"""Files: what is put is what is opened, and nothing half is ever seen."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from pathlib import Path

import pytest

import repocore
from repocore import (
    AccessDeniedError,
    BlobKey,
    ChecksumMismatchError,
    ConflictError,
    Digest,
    FileMissingError,
    ImmutableFileError,
    InvalidPathError,
    NotAuthenticatedError,
    Policy,
    QuotaExceededError,
    RepositoryMissingError,
    Rule,
    StorageFullError,
    TooLargeError,
    TruncatedError,
    UploadRejectedError,
    hookimpl,
)
from repocore.config import LimitSettings, Settings

RECIPE = "zlib/1.3/_/_/r1/export"


class Untouched:
    """A body that must not be read."""

    def read(self, size: int = -1, /) -> bytes:
        message = "the body of a refused upload was read"
        raise AssertionError(message)


def test_the_lines_of_the_readme_work_without_a_web_server(tmp_path: Path) -> None:
    """An application embeds a registry in five lines."""
    path = f"{RECIPE}/metadata/note.txt"
    with repocore.open_registry(data=tmp_path / "d") as registry:
        session = registry.session(registry.admin())
        session.repositories.create("conan/main")
        session.files.put("conan/main", f"{RECIPE}/conanfile.py", io.BytesIO(b"recipe"))
        session.files.put("conan/main", path, io.BytesIO(b"note"))
        manifest = b"1\nconanfile.py: d41d8cd98f00b204e9800998ecf8427e\n"
        session.files.put("conan/main", f"{RECIPE}/conanmanifest.txt", io.BytesIO(manifest))
        names = [file.path.name for file in session.files.list("conan/main")]
        assert names == ["conanfile.py", "conanmanifest.txt", "note.txt"]
        with session.files.open("conan/main", path) as stream:
            assert stream.read() == b"note"


def test_a_part_of_a_file_is_read_from_start_to_stop(house) -> None:
    """`open` with bounds reads those bytes and no others."""
    house.recipe("r1")
    with house.admin.files.open("conan/main", f"{RECIPE}/conanfile.py", 2, 6) as stream:
        assert stream.read() == b"cipe"


def test_a_draft_is_seen_by_nobody(house) -> None:
    """Until a release is whole, its files are neither listed nor opened."""
    house.put(f"{RECIPE}/conanfile.py", b"recipe")
    assert house.listing() == []
    with pytest.raises(FileMissingError):
        house.admin.files.open("conan/main", f"{RECIPE}/conanfile.py")


@pytest.mark.parametrize("other", ["Zlib", "ZLIB"])
def test_names_that_differ_in_case_are_two(house, other: str) -> None:
    """T3: also on a disk that takes them for one, because no name becomes a path of it."""
    house.recipe("r1")
    house.recipe("r1", f"{other}/1.3/_/_", b" of another")
    for name, content in (("zlib", b"recipe r1"), (other, b"recipe r1 of another")):
        path = f"{name}/1.3/_/_/r1/export/conanfile.py"
        with house.admin.files.open("conan/main", path) as stream:
            assert stream.read() == content


@pytest.mark.parametrize("name", ["con", "nul", "aux", "com1", "lpt9"])
def test_names_of_devices_are_names(house, name: str) -> None:
    """T3: what another system reserves is kept like anything else."""
    house.recipe("r1", f"{name}/1.3/_/_")
    assert house.listing()[0][0] == f"{name}/1.3/_/_/r1/export/conanfile.py"


def test_equal_bytes_are_one_blob(house) -> None:
    """Two files of the same content share what is stored."""
    house.recipe("r1")
    house.recipe("r2", reference="zlib/1.4/_/_")
    report = house.admin.upkeep.check(read_data=True)
    assert (report.files, report.blobs) == (4, 3)


def test_a_released_file_may_be_overwritten_by_who_may_overwrite(house) -> None:
    """Other bytes need OVERWRITE besides WRITE, and the same bytes need nothing more."""
    house.recipe("r1")
    house.allow("user:ci", "read,write", "conan/main/**")
    ci = house.as_("ci")
    before = house.listing()
    house.put(f"{RECIPE}/conanfile.py", b"recipe r1", ci)
    with pytest.raises(ImmutableFileError, match="permission to overwrite"):
        house.put(f"{RECIPE}/conanfile.py", b"other", ci)
    assert house.listing() == before
    house.allow("user:ci", "overwrite", "conan/main/**")
    house.put(f"{RECIPE}/conanfile.py", b"other", ci)
    assert house.listing() != before


def test_a_policy_can_keep_what_is_published(house) -> None:
    """With `overwrite` off, not even an administrator replaces released bytes."""
    house.recipe("r1")
    house.admin.repositories.configure("conan/main", policy=Policy(overwrite=False))
    with pytest.raises(ImmutableFileError, match="keeps what is published"):
        house.put(f"{RECIPE}/conanfile.py", b"other")
    house.put(f"{RECIPE}/metadata/log.txt", b"one")
    house.put(f"{RECIPE}/metadata/log.txt", b"two")


def test_another_compression_takes_the_place_of_the_archive(house) -> None:
    """A revision has one archive of a kind; the new one replaces the old in one transaction."""
    house.recipe("r1")
    house.package("r1", "p1")
    base = "zlib/1.3/_/_/r1/package/pid/p1"
    house.put(f"{base}/conan_package.tzst", b"zstd")
    names = [path for path, _ in house.listing() if "conan_package" in path]
    assert names == [f"{base}/conan_package.tzst"]


REFUSED = {
    "truncated": ({"length": 9}, TruncatedError),
    "checksum": ({"announced": [Digest("sha1", "0" * 40)]}, ChecksumMismatchError),
    "announced too large": ({"length": 1 << 40}, TooLargeError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_upload_changes_nothing(house, case: str) -> None:
    """Wrong length, wrong checksum and too many bytes leave the listing as it was."""
    house.recipe("r1")
    before = house.listing()
    arguments, error = REFUSED[case]
    with pytest.raises(error):
        house.admin.files.put(
            "conan/main", f"{RECIPE}/conanfile.py", io.BytesIO(b"other"), **arguments
        )
    assert house.listing() == before
    assert house.admin.upkeep.check(read_data=True).ok


def test_a_body_over_the_limit_is_refused_while_it_comes(house) -> None:
    """Without an announced length the limit still holds."""
    house.admin.repositories.configure("conan/main", policy=Policy(max_size=4))
    with pytest.raises(TooLargeError):
        house.put(f"{RECIPE}/conanfile.py", b"12345")


def test_a_quota_counts_what_is_kept(quota) -> None:
    """Bytes beyond the quota are refused; deleting makes room again."""
    quota.put(f"{RECIPE}/conanfile.py", b"x" * 80)
    with pytest.raises(QuotaExceededError):
        quota.put(f"{RECIPE}/metadata/a", b"y" * 30)
    quota.put(f"{RECIPE}/conanfile.py", b"x" * 10)
    quota.put(f"{RECIPE}/metadata/a", b"y" * 30)
    quota.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
    quota.put(f"{RECIPE}/conanfile.py", b"x" * 100)


def test_a_length_beyond_the_quota_is_refused_before_the_body_is_touched(quota) -> None:
    """What cannot fit is not read."""
    with pytest.raises(QuotaExceededError):
        quota.admin.files.put("conan/main", f"{RECIPE}/conanfile.py", Untouched(), length=101)


@pytest.mark.parametrize(
    ("name", "error"), [(None, NotAuthenticatedError), ("reader", AccessDeniedError)]
)
def test_who_may_not_write_is_told_before_the_body_is_touched(
    house, reader, name: str | None, error: type[Exception]
) -> None:
    """Permission goes before the first read."""
    with pytest.raises(error):
        house.as_(name).files.put("conan/main", f"{RECIPE}/conanfile.py", Untouched())


def test_an_unknown_repository_and_a_hidden_one_look_the_same(house) -> None:
    """Without permission nobody learns which repositories there are."""
    stranger = house.as_("stranger")
    errors = []
    for address in ("conan/main", "conan/nowhere"):
        with pytest.raises(AccessDeniedError) as caught:
            stranger.files.stat(address, f"{RECIPE}/conanfile.py")
        errors.append((str(caught.value), caught.value.hidden))
    assert errors[0] == errors[1]
    with pytest.raises(RepositoryMissingError):
        house.admin.files.stat("conan/nowhere", f"{RECIPE}/conanfile.py")


@pytest.mark.parametrize(
    "path", ["../x", "a//b", "zlib/1.3/_/_/r1/export/../conanfile.py", "zlib/1.3/_/_/r1/x.py", ""]
)
def test_a_path_that_is_not_normal_or_not_of_the_format_is_refused(house, path: str) -> None:
    """There is one spelling of every path."""
    with pytest.raises(InvalidPathError):
        house.put(path, b"x")


def test_a_plugin_can_veto_an_upload(tmp_path: Path) -> None:
    """What a plugin refuses is not stored."""

    class Veto:
        @hookimpl
        def repocore_validate(self, path: repocore.FilePath) -> None:
            message = f"{path.name} is not welcome."
            raise UploadRejectedError(message)

    settings = Settings(data=tmp_path)
    with repocore.open_registry(settings=settings, plugins=[Veto()]) as registry:
        session = registry.session(registry.admin())
        session.repositories.create("conan/main")
        with pytest.raises(UploadRejectedError, match="not welcome"):
            session.files.put("conan/main", f"{RECIPE}/conanfile.py", io.BytesIO(b"x"))
        assert session.upkeep.collect(grace=timedelta(0)).blobs == 0


def test_a_known_checksum_binds_only_what_the_caller_may_read(house) -> None:
    """To know a digest is no permission: checksum deploy needs READ of a file with those bytes."""
    house.recipe("r1")
    house.recipe("r2", reference="other/1.0/_/_")
    digest = Digest("sha1", hashlib.sha1(b"recipe r2").hexdigest())
    house.allow("user:ci", "read,write", "conan/main/zlib/**")
    path = "zlib/1.3/_/_/r9/export/conanfile.py"
    assert house.as_("ci").files.refer("conan/main", path, digest) is None
    file = house.admin.files.refer("conan/main", path, digest)
    assert file is not None
    assert file.digest == hashlib.sha256(b"recipe r2").hexdigest()


def test_a_full_storage_changes_nothing(house) -> None:
    """A storage that raises leaves the listing byte for byte as it was."""
    house.recipe("r1")
    before = house.listing()

    class Full:
        def __getattr__(self, name: str):
            return getattr(house.registry.storage, name)

        def writer(self, length=None):
            raise StorageFullError

    services = house.registry._services
    real, services.storage = services.storage, Full()
    try:
        with pytest.raises(StorageFullError):
            house.put(f"{RECIPE}/conanfile.py", b"other")
    finally:
        services.storage = real
    assert house.listing() == before


def test_only_loose_files_are_deleted_alone(house) -> None:
    """A file that its release needs goes with the release; metadata goes alone."""
    house.recipe("r1")
    house.put(f"{RECIPE}/metadata/log.txt", b"log")
    with pytest.raises(ConflictError, match="delete the release"):
        house.admin.files.delete("conan/main", f"{RECIPE}/conanfile.py")
    house.admin.files.delete("conan/main", f"{RECIPE}/metadata/log.txt")
    assert len(house.listing()) == 2


def test_a_listing_names_what_may_be_read_and_no_more(house) -> None:
    """The same rules filter listings and single reads."""
    house.recipe("r1")
    house.recipe("r1", reference="secret/1.0/_/_")
    house.allow("user:ann", "read", "conan/main/zlib/**")
    paths = [str(file.path) for file in house.as_("ann").files.list("conan/main")]
    assert paths
    assert all(path.startswith("zlib/") for path in paths)
    scope = (Rule(subject="*", actions=repocore.actions_of(["read"]), pattern="conan/main/x/**"),)
    assert list(house.as_("ann", scope=scope).files.list("conan/main")) == []
    with pytest.raises(AccessDeniedError):
        house.as_("stranger").files.list("conan/main")
    with pytest.raises(RepositoryMissingError):
        house.admin.files.list("conan/nowhere")


def test_content_has_the_url_that_its_storage_gives(house, monkeypatch) -> None:
    """It is one of the file's bytes, under the file's name and type; the disk has none."""
    house.recipe("r1")
    content = house.admin.files.content("conan/main", f"{RECIPE}/conanfile.py")
    assert content.url(timedelta(minutes=1)) is None

    def url(key: BlobKey, *, filename: str, media_type: str, expires: timedelta) -> str:
        return f"https://s3.example/{key.digest}?{filename}&{media_type}&{expires.seconds}"

    monkeypatch.setattr(house.registry.storage, "url", url)
    file = content.file
    wanted = f"https://s3.example/{file.digest}?conanfile.py&{file.media_type}&60"
    assert content.url(timedelta(minutes=1)) == wanted


def test_pages_of_a_listing_join_without_a_seam(tmp_path: Path) -> None:
    """A listing is the same whatever the size of a page."""
    settings = Settings(data=tmp_path, limits=LimitSettings(page=2))
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        session.repositories.create("conan/main")
        for number in range(5):
            name = hashlib.sha256(bytes([number])).hexdigest()
            session.files.put("conan/main", f".sources/{name}", io.BytesIO(bytes([number])))
        names = [str(file.path) for file in session.files.list("conan/main")]
        assert len(names) == len(set(names)) == 5
        assert names == sorted(names)
