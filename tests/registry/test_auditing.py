"""Upkeep: a check finds what is wrong, a collection takes leftovers, an export is plain."""

from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from repocore import AccessDeniedError, BlobKey, RejectedError

NOW = timedelta(0)


def blob_file(house, path: str) -> Path:
    file = house.admin.files.stat("conan/main", path)
    return house.settings.data / "blobs" / house.registry.storage.location(file.key)


def test_a_check_finds_what_is_missing_cut_or_changed(house) -> None:
    """Missing and cut objects show at once, changed bytes when they are read."""
    for number in (1, 2, 3):
        house.recipe(f"r{number}")
    files = [blob_file(house, f"zlib/1.3/_/_/r{n}/export/conanfile.py") for n in (1, 2, 3)]
    for file in files:
        file.chmod(0o600)
    files[0].unlink()
    files[1].write_bytes(b"cut")
    files[2].write_bytes(b"RECIPE r3")
    report = house.admin.upkeep.check()
    assert len(report.problems) == 2
    report = house.admin.upkeep.check(read_data=True)
    assert len(report.problems) == 3
    assert not report.ok
    assert str(house.settings.data) not in "".join(report.problems)


def test_uploading_the_same_bytes_again_mends_them(house) -> None:
    """An object that is gone or cut is written anew."""
    house.recipe("r1")
    file = blob_file(house, "zlib/1.3/_/_/r1/export/conanfile.py")
    file.chmod(0o600)
    file.unlink()
    assert not house.admin.upkeep.check().ok
    house.recipe("r1")
    assert house.admin.upkeep.check(read_data=True).ok


def test_a_collection_takes_what_nothing_names_and_nothing_else(house) -> None:
    """Deleted content goes after the grace period; the rest stays."""
    house.recipe("r1")
    house.recipe("r2")
    house.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
    assert house.admin.upkeep.collect().blobs == 0
    report = house.admin.upkeep.collect(grace=NOW)
    assert (report.blobs, report.drafts) == (1, 0)
    assert house.admin.upkeep.check(read_data=True).ok
    assert len(house.listing()) == 2


def test_drafts_expire_with_their_files(house) -> None:
    """What was never finished is forgotten; what is visible is not."""
    house.recipe("r1")
    house.put("zlib/1.3/_/_/r2/export/conanfile.py", b"never finished")
    assert house.admin.upkeep.collect().drafts == 0
    report = house.admin.upkeep.collect(grace=NOW)
    assert (report.drafts, report.blobs) == (1, 1)
    assert len(house.listing()) == 2


def test_objects_that_nothing_knows_are_leftovers(house) -> None:
    """An object without a row, and a key that is not the current one, are deleted."""
    writer = house.registry.storage.writer()
    writer.write(b"stray")
    writer.commit(BlobKey.make("0" * 64))
    assert house.admin.upkeep.collect(grace=NOW).leftovers == 1
    assert list(house.registry.storage.keys()) == []


def test_an_export_is_a_plain_tree(house, tmp_path: Path) -> None:
    """Each visible file lies under its path, with its bytes."""
    house.recipe("r1")
    house.package("r1", "p1")
    house.put("zlib/1.3/_/_/r1/export/metadata/ab:c.txt", b"note")
    house.put("zlib/1.4/_/_/r1/export/conanfile.py", b"a draft")
    out = tmp_path / "out"
    assert house.admin.upkeep.export("conan/main", out) == 6
    recipe = out / "zlib/1.3/_/_/r1/export"
    assert (recipe / "conanfile.py").read_bytes() == b"recipe r1"
    assert (recipe / "metadata/ab%3Ac.txt").read_bytes() == b"note"
    assert not (out / "zlib/1.4").exists()
    with pytest.raises(RejectedError, match="not empty"):
        house.admin.upkeep.export("conan/main", out)


def test_an_export_takes_no_space_on_the_disk_of_the_storage(house, tmp_path: Path) -> None:
    """There its files are other names of the stored ones."""
    house.recipe("r1")
    house.admin.upkeep.export("conan/main", tmp_path / "out")
    path = "zlib/1.3/_/_/r1/export/conanfile.py"
    assert (tmp_path / "out" / path).samefile(blob_file(house, path))


def test_an_export_holds_what_a_stream_gives(house, tmp_path: Path, monkeypatch) -> None:
    """A storage that unpacks what it reads gives the bytes, not the packed file behind them."""
    house.recipe("r1")
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(b"recipe r1"))

    def unpacked(_key: BlobKey) -> object:
        return gzip.open(packed)

    monkeypatch.setattr(house.registry.storage, "open", unpacked)
    house.admin.upkeep.export("conan/main", tmp_path / "out")
    copy = tmp_path / "out/zlib/1.3/_/_/r1/export/conanfile.py"
    assert copy.read_bytes() == b"recipe r1"


def test_downloads_are_counted_without_a_write_each(house) -> None:
    """Many downloads are one row when the counts are written."""
    house.recipe("r1")
    for _ in range(5):
        house.admin.files.open("conan/main", "zlib/1.3/_/_/r1/export/conanfile.py").close()
    house.admin.files.content("conan/main", "zlib/1.3/_/_/r1/export/conanfile.py")
    house.admin.files.open("conan/main", "zlib/1.3/_/_/r1/export/conanfile.py", 3).close()
    [(partition, release, count, _)] = house.admin.upkeep.downloads("conan/main")
    assert (partition, release, count) == ("zlib/1.3@_/_", "r1", 5)


def test_upkeep_is_for_administrators(house, reader) -> None:
    """Nobody else checks, collects or exports."""
    for refused in (reader.upkeep.check, reader.upkeep.collect):
        with pytest.raises(AccessDeniedError):
            refused()


def test_tokens_that_ended_long_ago_are_forgotten(house) -> None:
    """Those of jobs of a CI would be very many; what may be of use is kept."""
    accounts = house.admin.accounts
    accounts.add("ann")
    made = [accounts.create_token("ann", name)[0] for name in ("live", "revoked", "ended")]
    short, _ = accounts.create_token("ann", "short", lifetime=timedelta(minutes=1))
    accounts.revoke_token(made[1].id)
    accounts.revoke_token(made[2].id)
    old = 91 * 86_400_000_000

    def work(transaction) -> None:
        for column, token in (("revoked_at", made[2]), ("expires_at", short)):
            change = f"UPDATE tokens SET {column} = {column} - {old} WHERE id = {token.id}"
            transaction.execute(text(change))

    house.registry._services.catalog.write(work)
    house.admin.upkeep.collect()
    assert [token.name for token in accounts.tokens("ann")] == ["live", "revoked"]
