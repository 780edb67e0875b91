"""Backups: of one moment, whole or none, and restored into whatever database."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import text
from tests_manifest import manifest

import repocore
from repocore import BlobKey, RejectedError, StorageError
from repocore.catalog import dumping, leases
from repocore.config import Settings
from repocore.errors import BlobMissingError, ConfigurationError
from repocore.registry import BackupFolder, Registry, verify_backup

NOW = timedelta(0)
#: What is about the folder alone.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECIPE = "zlib/1.3/_/_/{}/export/conanfile.py"


class Unwatched:
    """A progress that nobody looks at."""

    def start(self, _total: int | None, _message: str) -> None:
        """Nothing."""

    def advance(self, steps: int = 1) -> None:
        """Nothing."""

    def log(self, text: str) -> None:
        """Nothing."""

    def check(self) -> None:
        """Go on."""


def rows_of(registry: Registry) -> dict[str, list[Any]]:
    """Every row of the catalog, as a backup has them."""
    with registry._services.catalog.snapshot() as connection:
        return {name: list(dumping.rows(connection, name)) for name in dumping.table_columns()}


def objects_of(registry: Registry) -> dict[BlobKey, bytes]:
    found: dict[BlobKey, bytes] = {}
    for key in registry.storage.keys():  # noqa: SIM118 - no mapping
        with registry.storage.open(key) as stream:
            found[key] = stream.read()
    return found


Restored = Callable[..., Any]


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    """Restore a folder of backups into a new data folder with SQLite, or another database."""

    @contextmanager
    def open_(folder: Path, catalog: str | None = None, **words: Any) -> Iterator[Registry]:
        chosen = Settings(data=tmp_path / "new", catalog=catalog or "sqlite:///catalog.db")
        with repocore.open_registry(settings=attrs.evolve(chosen, read_only=True)) as registry:
            report = registry.session(registry.admin()).upkeep.restore(folder, **words)
            registry.report = report  # pyright: ignore[reportAttributeAccessIssue]
            yield registry

    return open_


@pytest.fixture
def furnished(house) -> Any:
    """Packages, a draft, an account with a token and a password, a job, and what was deleted."""
    for number in range(5):
        house.recipe(f"r{number}")
        house.package(f"r{number}", "p1")
    house.put(RECIPE.format("draft"), b"never finished")
    house.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r2")
    house.admin.accounts.add("olga", "a password of olga")
    for name in ("one", "two"):
        house.admin.accounts.create_token("olga", name)
    house.allow("user:olga", "read", "conan/main/**")
    house.admin.jobs.submit("gc")
    house.admin.audit.seal()
    return house


def same_rows(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> None:
    for name, expected in before.items():
        if name == "seals":  # the chain goes on by itself, behind what there was
            assert after[name][: len(expected)] == expected
        elif name != "access":  # its versions tell whoever has the registry open to look again
            assert after[name] == expected, name


def test_a_backup_is_restored_row_by_row_and_byte_by_byte(
    furnished, restored: Restored, tmp_path: Path
) -> None:
    """Serials, times, tokens, records, seals and keys are as they were; so is every object."""
    rows, objects = rows_of(furnished.registry), objects_of(furnished.registry)
    report = furnished.admin.upkeep.backup(tmp_path / "kept")
    assert (report.ok, report.copied) == (True, report.backup.objects)
    with restored(tmp_path / "kept") as registry:
        same_rows(rows, rows_of(registry))
        named = {key for key in objects if key in objects_of(registry)}
        assert objects_of(registry) == {key: objects[key] for key in named}
        assert len(named) == report.backup.objects
        session = registry.session(registry.admin())
        assert session.upkeep.check(read_data=True).ok
        assert session.audit.verify().ok
        assert registry.authenticate(repocore.Password("olga", "a password of olga")).name == "olga"


@pytest.mark.postgres
def test_a_backup_goes_from_one_database_to_the_other(
    house, postgres_databases, postgres_tables: str, restored: Restored, tmp_path: Path
) -> None:
    """What was counted goes on being counted: no number of a record is given twice."""
    house.recipe("r1")
    house.admin.accounts.add("olga")
    gone, _ = house.admin.accounts.create_token("olga", "gone")
    house.admin.accounts.revoke_token(gone.id)
    house.admin.upkeep.backup(tmp_path / "kept")
    rows = rows_of(house.registry)
    there = house.settings.catalog.startswith("postgresql")
    with postgres_databases.fresh(postgres_tables) as url:
        with restored(tmp_path / "kept", catalog=None if there else url) as registry:
            same_rows(rows, rows_of(registry))
            chosen = attrs.evolve(registry.settings, read_only=False)
        with repocore.open_registry(settings=chosen) as registry:
            admin = registry.session(registry.admin())
            admin.accounts.add("pia")
            assert admin.accounts.create_token("olga", "next")[0].id == gone.id + 1
            admin.repositories.create("conan/other")
            admin.files.put("conan/main", RECIPE.format("r9"), io.BytesIO(b"later"))
            text_ = manifest("conanfile.py")
            path = RECIPE.format("r9").replace("conanfile.py", "conanmanifest.txt")
            admin.files.put("conan/main", path, io.BytesIO(text_))
            found = admin.releases.list("conan/main", "zlib/1.3@_/_")
            assert [one.name for one in found] == ["r9", "r1"]
            assert found[0].serial == found[1].serial + 1
            assert found[0].released_at > found[1].released_at
            assert admin.upkeep.check(read_data=True).ok


def test_the_next_backup_copies_what_is_new(furnished, restored: Restored, tmp_path: Path) -> None:
    """Each has a catalog of its own moment; any of them can be restored."""
    kept = tmp_path / "kept"
    first = furnished.admin.upkeep.backup(kept).backup
    assert furnished.admin.upkeep.backup(kept).copied == 0
    furnished.recipe("r9")
    assert furnished.admin.upkeep.backup(kept).copied == 1
    assert [one.whole for one in BackupFolder.at(kept).list()] == [True] * 3
    with restored(kept, name=first.name) as registry:
        files = registry.session(registry.admin()).files.list("conan/main")
        assert not [file for file in files if "/r9/" in str(file.path)]


@on_sqlite
def test_old_backups_go_with_what_only_they_hold(furnished, tmp_path: Path) -> None:
    """And nothing that another one names."""
    kept = tmp_path / "kept"
    furnished.admin.upkeep.backup(kept)
    furnished.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
    furnished.admin.upkeep.backup(kept)
    report = furnished.admin.upkeep.backup(kept, keep=1)
    assert len(report.deleted) == 2
    folder = BackupFolder.at(kept)
    [backup] = folder.list()
    stored = {path.name for path in (kept / "objects").glob("*/*")}
    assert stored == {line[0] for line in folder.lines(backup, "objects.jsonl.gz")}
    assert verify_backup(folder, backup, Unwatched()) == []
    with pytest.raises(RejectedError, match="one backup at least"):
        furnished.admin.upkeep.backup(kept, keep=0)


@on_sqlite
def test_a_backup_lists_every_path_and_its_object(furnished, tmp_path: Path) -> None:
    """So that files can be had from it without any of our code."""
    furnished.admin.upkeep.backup(tmp_path / "kept")
    [path] = (tmp_path / "kept").glob("*/files.jsonl.gz")
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for file in furnished.admin.files.list("conan/main"):
        [line] = [one for one in lines if one["path"] == f"conan/main/{file.path}"]
        assert (line["key"], line["size"]) == (str(file.key), file.size)
        copy = tmp_path / "kept" / "objects" / file.digest[:2] / file.digest
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == file.digest


@on_sqlite
def test_a_backup_is_for_its_owner_alone(furnished, tmp_path: Path) -> None:
    """It holds hashes of tokens and keys that sign."""
    furnished.admin.upkeep.backup(tmp_path / "kept")
    modes = {
        path.stat().st_mode & 0o077 for path in [tmp_path / "kept", *(tmp_path / "kept").rglob("*")]
    }
    assert modes == {0}


# ------------------------------------------------------------------------------- what is broken


@on_sqlite
@pytest.mark.parametrize("step", ["leased", "dumped", "copied"])
def test_a_backup_that_was_cut_off_is_none(furnished, tmp_path: Path, step: str) -> None:
    """The next one takes away what is left, and is whole."""

    class CutOffError(BaseException):
        pass

    def die(name: str) -> None:
        if name == step:
            raise CutOffError

    kept = tmp_path / "kept"
    furnished.registry.step = die
    with pytest.raises(CutOffError):
        furnished.admin.upkeep.backup(kept)
    furnished.registry.step = lambda _step: None
    with pytest.raises(RejectedError, match="no such backup"):
        BackupFolder.at(kept).newest()
    (kept / "20000101T000000.000000Z").mkdir()  # as one leaves that is killed
    with pytest.raises(RejectedError, match="never finished"):
        BackupFolder.at(kept).newest()
    assert furnished.admin.upkeep.backup(kept).ok
    [one] = BackupFolder.at(kept).list()
    assert one.whole


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@on_sqlite
@pytest.mark.parametrize("spoil", [cut, change, Path.unlink])
@pytest.mark.parametrize("part", ["manifest.json", "catalog/releases.jsonl.gz", "objects.jsonl.gz"])
def test_a_damaged_backup_is_not_restored(
    furnished, restored: Restored, tmp_path: Path, part: str, spoil: Callable[[Path], None]
) -> None:
    """Whatever is wrong with its lists; nothing is written then."""
    furnished.admin.upkeep.backup(tmp_path / "kept")
    [path] = (tmp_path / "kept").glob(f"*/{part}")
    spoil(path)
    with (
        pytest.raises((RejectedError, StorageError), match=r"broken|damaged"),
        restored(tmp_path / "kept"),
    ):
        pass
    chosen = Settings(data=tmp_path / "new", read_only=True)
    with repocore.open_registry(settings=chosen) as registry:
        assert not any(rows_of(registry)[name] for name in ("files", "blobs", "accounts"))
    folder = BackupFolder.at(tmp_path / "kept")
    [backup] = folder.list()
    assert not backup.whole or verify_backup(folder, backup, Unwatched())


@on_sqlite
def test_a_damaged_object_is_found_and_copied_again(
    furnished, restored: Restored, tmp_path: Path
) -> None:
    """By whoever verifies; a restore has all but that one, and says so."""
    kept = tmp_path / "kept"
    backup = furnished.admin.upkeep.backup(kept).backup
    file = furnished.admin.files.stat("conan/main", RECIPE.format("r1"))
    copy = kept / "objects" / file.digest[:2] / file.digest
    copy.write_bytes(b"RECIPE r1")
    with restored(kept) as registry:
        session = registry.session(registry.admin())
        assert registry.report.absent == (file.digest,)
        with pytest.raises(BlobMissingError):
            session.files.open("conan/main", file.path)
        [problem] = session.upkeep.check(read_data=True).problems
        assert RECIPE.format("r1") in problem
    folder = BackupFolder.at(kept)
    [problem] = verify_backup(folder, backup, Unwatched())
    assert file.digest in problem
    assert furnished.admin.upkeep.backup(kept).copied == 1
    assert verify_backup(folder, backup, Unwatched()) == []


@on_sqlite
def test_what_is_lost_already_is_said(furnished, tmp_path: Path) -> None:
    """Such a backup is better than none, and no reason to delete an older one."""
    kept = tmp_path / "kept"
    file = furnished.admin.files.stat("conan/main", RECIPE.format("r1"))
    furnished.admin.upkeep.backup(kept)
    furnished.registry.storage.delete(file.key)
    assert furnished.admin.upkeep.backup(kept, keep=1).ok  # the folder has it
    other = tmp_path / "other"
    report = furnished.admin.upkeep.backup(other, keep=1)
    assert (report.ok, report.backup.absent) == (False, (file.digest,))
    report = furnished.admin.upkeep.backup(other, keep=1)
    assert report.deleted == ()


@on_sqlite
def test_a_folder_of_something_else_is_left_alone(furnished, tmp_path: Path) -> None:
    """Backups go into a folder of their own."""
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "letter").write_text("dear", encoding="utf-8")
    with pytest.raises(RejectedError, match="no folder of backups"):
        furnished.admin.upkeep.backup(tmp_path / "papers")
    with pytest.raises(RejectedError, match="no backups in that folder"):
        BackupFolder.at(tmp_path / "papers")


@on_sqlite
def test_a_backup_that_died_first_of_all_does_not_spoil_the_folder(
    furnished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is made first: the next backup does not take the folder for somebody else's."""

    class DiedError(BaseException):
        pass

    make = os.open

    def die(path: Any, *more: Any, **named: Any) -> int:
        if Path(path).parent == tmp_path / "kept":
            raise DiedError
        return make(path, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", die)
        with pytest.raises(DiedError):
            furnished.admin.upkeep.backup(tmp_path / "kept")
    assert furnished.admin.upkeep.backup(tmp_path / "kept").ok


@on_sqlite
def test_one_writes_to_a_folder_at_a_time(furnished, tmp_path: Path) -> None:
    """The other is told."""
    with (
        BackupFolder.writable(tmp_path / "kept"),
        pytest.raises(RejectedError, match="Somebody else"),
    ):
        furnished.admin.upkeep.backup(tmp_path / "kept")


# ---------------------------------------------------------------------- the collector beside it


def test_the_collector_waits_for_a_backup(furnished, restored: Restored, tmp_path: Path) -> None:
    """What is deleted after the snapshot is in the backup, and the next collection's."""
    found: list[Any] = []

    def delete(step: str) -> None:
        if step == "dumped":
            furnished.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
            found.append(furnished.admin.upkeep.collect(grace=NOW))

    furnished.registry.step = delete
    assert furnished.admin.upkeep.backup(tmp_path / "kept").ok
    furnished.registry.step = lambda _step: None
    assert (found[0].held, found[0].blobs) == (True, 0)
    after = furnished.admin.upkeep.collect(grace=NOW)
    assert (after.held, after.blobs > 0) == (False, True)
    with restored(tmp_path / "kept") as registry:
        session = registry.session(registry.admin())
        assert session.upkeep.check(read_data=True).ok
        session.files.open("conan/main", RECIPE.format("r1")).close()


def test_a_backup_whose_objects_go_begins_again(furnished, tmp_path: Path) -> None:
    """As a collector of an older version may take them, which knows no leases."""
    seen: list[str] = []

    def collect(step: str) -> None:
        seen.append(step)
        if seen.count("dumped") == 1 and step == "dumped":
            catalog = furnished.registry._services.catalog
            catalog.write(lambda t: t.execute(text("DELETE FROM leases")))
            furnished.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
            furnished.admin.upkeep.collect(grace=NOW)

    furnished.registry.step = collect
    report = furnished.admin.upkeep.backup(tmp_path / "kept")
    assert (report.ok, seen.count("dumped")) == (True, 2)
    folder = BackupFolder.at(tmp_path / "kept")
    assert [one.name for one in folder.list()] == [report.backup.name]
    assert verify_backup(folder, report.backup, Unwatched()) == []


def test_who_died_holds_the_collector_up_for_a_while_only(furnished) -> None:
    """A lease runs out, by the clock of the database."""
    furnished.admin.upkeep.collect(grace=NOW)
    furnished.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
    catalog = furnished.registry._services.catalog
    catalog.write(lambda t: leases.hold(t, leases.BACKUP, "dead", 60_000_000))
    assert furnished.admin.upkeep.collect(grace=NOW).held
    catalog.write(lambda t: leases.hold(t, leases.BACKUP, "dead", -1))
    report = furnished.admin.upkeep.collect(grace=NOW)
    assert (report.held, report.blobs > 0) == (False, True)


# -------------------------------------------------------------------------------------- restore


@on_sqlite
def test_a_restore_is_for_an_empty_installation(furnished, tmp_path: Path) -> None:
    """Nobody's packages are mixed with those of a backup."""
    furnished.admin.upkeep.backup(tmp_path / "kept")
    before = rows_of(furnished.registry)
    with pytest.raises(RejectedError, match="empty folder"):
        furnished.admin.upkeep.restore(tmp_path / "kept")
    same_rows(before, rows_of(furnished.registry))
    chosen = Settings(data=tmp_path / "new", read_only=True)
    with repocore.open_registry(settings=chosen) as registry:
        writer = registry.storage.writer()
        writer.write(b"somebody else's")
        writer.commit(BlobKey.make("0" * 64))
        with pytest.raises(RejectedError, match="something else"):
            registry.session(registry.admin()).upkeep.restore(tmp_path / "kept")


def test_a_restore_that_was_cut_off_goes_on(furnished, tmp_path: Path) -> None:
    """Objects are there, rows are not: nobody sees half of it."""
    furnished.admin.upkeep.backup(tmp_path / "kept")
    chosen = Settings(data=tmp_path / "new", read_only=True)

    class CutOffError(BaseException):
        pass

    def die(_step: str) -> None:
        raise CutOffError

    with repocore.open_registry(settings=chosen) as registry:
        registry.step = die
        with pytest.raises(CutOffError):
            registry.session(registry.admin()).upkeep.restore(tmp_path / "kept")
        assert rows_of(registry)["files"] == []
    with repocore.open_registry(settings=chosen) as registry:
        session = registry.session(registry.admin())
        assert session.upkeep.restore(tmp_path / "kept").ok
        assert session.upkeep.check(read_data=True).ok


def rewritten(kept: Path, work: Callable[[dict[str, Any], Path], None]) -> None:
    """A backup as somebody else would have written it, its sums made anew."""
    [path] = kept.glob("*/manifest.json")
    told = json.loads(path.read_text(encoding="utf-8"))
    del told["sha256"]
    work(told, path.parent)
    for part in told["parts"]:
        told["parts"][part] = hashlib.sha256((path.parent / part).read_bytes()).hexdigest()
    told["sha256"] = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(told), encoding="utf-8")


def test_a_backup_of_an_older_schema_is_brought_to_this_one(
    furnished, restored: Restored, tmp_path: Path
) -> None:
    """Its rows are read as its version's, and the migrations do the rest."""
    furnished.admin.upkeep.backup(tmp_path / "kept")
    rows = rows_of(furnished.registry)

    def older(told: dict[str, Any], folder: Path) -> None:
        told["schema"] = "0006"
        columns = told["catalog"]["tables"]
        for name in ("compatibility", "leases", "replication", "rounds"):
            columns.pop(name, None)
        part = folder / "catalog" / "blobs.jsonl.gz"
        kept = [columns["blobs"].index(one) for one in columns["blobs"] if "damaged" not in one]
        lines = [json.loads(line) for line in gzip.decompress(part.read_bytes()).splitlines()]
        fewer = "".join(json.dumps([line[at] for at in kept]) + "\n" for line in lines)
        part.write_bytes(gzip.compress(fewer.encode()))
        columns["blobs"] = [columns["blobs"][at] for at in kept]

    rewritten(tmp_path / "kept", older)
    del rows["replication"]  # which that version did not have
    with restored(tmp_path / "kept") as registry:
        same_rows(rows, rows_of(registry))
        assert registry.session(registry.admin()).upkeep.check(read_data=True).ok


def test_a_backup_of_a_newer_schema_is_refused(
    furnished, restored: Restored, tmp_path: Path
) -> None:
    """The sentence says what to install."""
    furnished.admin.upkeep.backup(tmp_path / "kept")
    rewritten(tmp_path / "kept", lambda told, _folder: told.update(schema="9999"))
    with pytest.raises(ConfigurationError, match="newer repocore"), restored(tmp_path / "kept"):
        pass
