"""A static channel is taken over: what its index says, each file once, and nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import msgpack
import pytest
import zstandard
from static_channel import BUILT, StaticChannel

import repocore
from repocore.config import Settings
from repocore.model import Hasher
from repocore.plugins.conda import inspecting
from repocore.plugins.conda.channel_tree import ChannelTree
from repocore.plugins.conda.importing import ChannelReport, import_channel

CHANNEL = "conda/main"
ZLIB = "zlib-1.3-h0_0.conda"
OLD = "old-1.0-0.tar.bz2"
STAMP = 1_710_000_000_123


@attrs.frozen
class House:
    """A registry with an empty channel, and a tree to fill it from."""

    session: repocore.Session
    tree: StaticChannel

    def take(self, address: str = CHANNEL, **more: Any) -> ChannelReport:
        return import_channel(self.session, ChannelTree.at(self.tree.folder), address, **more)

    def read(self, path: str) -> Any:
        with self.session.files.open(CHANNEL, path) as stream:
            content = stream.read()
        if path.endswith(".zst"):
            content = zstandard.ZstdDecompressor().decompress(content)
        return msgpack.unpackb(content) if ".msgpack" in path else json.loads(content)

    def shard(self, name: str, subdir: str = "linux-64") -> dict[str, Any]:
        index = self.read(f"{subdir}/repodata_shards.msgpack.zst")
        return self.read(f"{subdir}/shards/{index['shards'][name].hex()}.msgpack.zst")

    def record(self, name: str, subdir: str = "linux-64") -> dict[str, Any]:
        index = self.read(f"{subdir}/repodata.json")
        return index["packages.conda" if name.endswith(".conda") else "packages"][name]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with repocore.open_registry(settings=Settings(data=tmp_path / "data")) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(CHANNEL)
        tree = StaticChannel(tmp_path / "static")
        tree.add(ZLIB, "linux-64", run_exports={"weak": ["zlib >=1.3"]}, arch="x86_64")
        tree.add(OLD, "linux-64")
        yield House(session, tree)


def test_records_come_from_the_index(house, monkeypatch) -> None:
    """No package is opened, and what only a server or a machine says is left out."""
    monkeypatch.setattr(inspecting, "read_package", None)
    house.tree.records["linux-64"][ZLIB]["license"] = "from the index"
    house.tree.index()
    report = house.take()
    assert (report.packages, report.opened, report.skipped) == (2, 0, 0)
    record = house.record(ZLIB)
    assert record.pop("indexed_timestamp") > BUILT
    expected = dict(house.tree.records["linux-64"][ZLIB])
    del expected["arch"]
    assert record == expected
    assert house.session.upkeep.check(read_data=True).ok


def test_it_is_the_same_as_opening_them(house) -> None:
    """Records and shards, for a tree that has an index of run exports and channeldata."""
    house.tree.index()
    house.tree.run_exports_json()
    facts = {"summary": "About zlib", "license": "MIT"}
    (house.tree.folder / "channeldata.json").write_text(
        json.dumps({"packages": {"zlib": facts, "old": {**facts, "summary": "About old"}}})
    )
    house.take()
    believed = {name: house.shard(name) for name in ("zlib", "old")}
    channeldata = house.read("channeldata.json")
    for name in (ZLIB, OLD):
        house.session.releases.delete(CHANNEL, "linux-64", name)
    assert house.take(reindex=True).opened == 2
    assert {name: house.shard(name) for name in ("zlib", "old")} == believed
    assert house.read("channeldata.json") == channeldata


def test_run_exports_are_unknown_where_nobody_says(house) -> None:
    """Unknown is not none: a shard says nothing of them."""
    house.tree.index()
    house.take()
    assert "run_exports" not in house.shard("zlib")["packages.conda"][ZLIB]


def test_every_file_is_hashed_once(house, monkeypatch) -> None:
    """By one pass over its bytes."""
    hashed: list[int] = []
    update = Hasher.update

    def counting(self: Hasher, chunk: bytes) -> None:
        hashed.append(len(chunk))
        update(self, chunk)

    monkeypatch.setattr(Hasher, "update", counting)
    house.tree.index()
    house.take()
    assert sorted(hashed) == sorted(r["size"] for r in house.tree.records["linux-64"].values())


def test_files_become_links_and_stay_as_they_are(house) -> None:
    """No space is taken where the disk is the same, and nothing in the tree changes."""
    house.tree.index()
    path = house.tree.folder / "linux-64" / ZLIB
    before = {p: p.read_bytes() for p in house.tree.folder.rglob("*") if p.is_file()}
    house.take()
    assert path.stat().st_nlink == 2
    assert {p: p.read_bytes() for p in house.tree.folder.rglob("*") if p.is_file()} == before


def test_a_file_that_is_not_the_one_in_the_index_is_left_out(house) -> None:
    """Other bytes, another size, no file, a link; the others are taken."""
    names = [f"p{n}-1.0-0.conda" for n in range(4)]
    paths = [house.tree.add(name, "linux-64") for name in names]
    house.tree.index()
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"!")
    paths[1].write_bytes(paths[1].read_bytes() + b"!")
    paths[2].unlink()
    paths[3].unlink()
    paths[3].symlink_to(paths[0])
    report = house.take()
    assert (report.packages, report.skipped) == (2, 4)
    said = dict(finding.split(": ", 1) for finding in report.findings)
    assert said.keys() == {f"linux-64/{name}" for name in names}
    assert said[f"linux-64/{names[0]}"] == "its checksum is not the one in the index"
    assert "in the index" in said[f"linux-64/{names[1]}"]
    assert "no plain file" in said[f"linux-64/{names[2]}"]
    listed = house.read("linux-64/repodata.json")["packages.conda"]
    assert set(listed) == {ZLIB}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "other"},
        {"build_number": None},
        {"depends": "not a list"},
        {"subdir": "osx-64"},
        {"sha256": "nothing of the kind"},
        {"license": "\ud800"},
    ],
)
def test_a_record_that_breaks_clients_is_left_out(house, wrong) -> None:
    """One bad record would keep everybody from the whole index."""
    house.tree.records["linux-64"][ZLIB] |= wrong
    house.tree.index()
    report = house.take()
    assert (report.packages, report.skipped) == (1, 1)
    assert report.findings[0].startswith(f"linux-64/{ZLIB}: ")


def test_what_the_index_does_not_know_enough_of_is_opened(house) -> None:
    """A record without a sha256, as very old ones are."""
    del house.tree.records["linux-64"][ZLIB]["sha256"]
    house.tree.index()
    assert house.take().opened == 1
    content = (house.tree.folder / "linux-64" / ZLIB).read_bytes()
    assert house.record(ZLIB)["sha256"] == hashlib.sha256(content).hexdigest()


def test_what_no_index_names_is_left_out(house) -> None:
    """The old server did not publish it; whoever wants it says so."""
    house.tree.index()
    house.tree.add("new-1.0-0.conda", "linux-64")
    house.tree.add("other-1.0-0.conda", "osx-64")
    report = house.take()
    assert (report.packages, report.skipped) == (2, 2)
    assert any("linux-64/new-1.0-0.conda: no index names it" in f for f in report.findings)
    assert any("osx-64: it has no index" in f for f in report.findings)
    report = house.take(reindex=True)
    assert (report.packages, report.opened, report.skipped) == (4, 4, 0)
    assert house.record("new-1.0-0.conda")["name"] == "new"


@pytest.mark.parametrize("reindex", [False, True])
def test_what_is_removed_from_the_index_comes_yanked(house, tmp_path, reindex) -> None:
    """Lock files that name it go on working, and nobody chooses it: as where it comes from."""
    house.tree.index()
    house.take()
    house.session.releases.yank(CHANNEL, "linux-64", ZLIB)
    house.session.upkeep.export(CHANNEL, tmp_path / "out")
    house.session.repositories.create("conda/again")
    for packages, known in ((2, 0), (1, 1)):  # who knows no digest looks again
        report = import_channel(
            house.session, ChannelTree.at(tmp_path / "out"), "conda/again", reindex=reindex
        )
        if not reindex:
            assert (report.packages, report.known) == (packages, known)
        assert report.skipped == 0
        yanked = [one.name for one in house.session.releases.all("conda/again") if one.yanked_at]
        assert yanked == [ZLIB]
        index = json.loads(house.session.files.open("conda/again", "linux-64/repodata.json").read())
        assert (index["removed"], list(index["packages.conda"])) == ([ZLIB], [])
        assert house.session.files.stat("conda/again", f"linux-64/{ZLIB}")


def test_an_index_that_cannot_be_read_does_not_stop_the_others(house) -> None:
    """It is told, and no package of that subdir is taken for one that nobody names."""
    house.tree.index()
    house.tree.add("a-1.0-0.conda", "osx-64")
    house.tree.write("osx-64", "repodata.json", b'{"packages":')
    report = house.take()
    assert (report.packages, report.skipped) == (2, 1)
    assert report.findings[0].startswith("osx-64: The index is not JSON")


def test_times_are_kept(house) -> None:
    """What the index says, what quetz says, and else the file's time."""
    records = house.tree.records["linux-64"]
    records[ZLIB]["indexed_timestamp"] = STAMP
    records[OLD]["time_modified"] = STAMP // 1000
    path = house.tree.add("file-1.0-0.conda", "linux-64")
    os.utime(path, (0, STAMP // 1000 + 60))
    early = house.tree.add("early-1.0-0.conda", "linux-64")
    os.utime(early, (0, 1000))
    house.tree.index()
    house.take()
    assert house.record(ZLIB)["indexed_timestamp"] == STAMP
    assert house.record(OLD)["indexed_timestamp"] == STAMP // 1000 * 1000
    assert "time_modified" not in house.record(OLD)
    assert house.record("file-1.0-0.conda")["indexed_timestamp"] == (STAMP // 1000 + 60) * 1000
    assert house.record("early-1.0-0.conda")["indexed_timestamp"] == BUILT
    release = house.session.releases.get(CHANNEL, "linux-64", ZLIB)
    assert release.released_at == datetime.fromtimestamp(STAMP / 1000, UTC)


def test_a_second_import_reads_no_file(house, monkeypatch) -> None:
    """What is there with the digest of the index is passed over; what has come since is taken."""
    house.tree.index()
    house.take()
    house.tree.add("new-1.0-0.conda", "linux-64")
    house.tree.index()
    hashed: list[bytes] = []
    monkeypatch.setattr(Hasher, "update", lambda _, chunk: hashed.append(chunk))
    report = house.take(dry_run=True)
    assert (report.packages, report.known) == (1, 2)
    assert hashed == []
    monkeypatch.undo()
    report = house.take()
    assert (report.packages, report.known) == (1, 2)


def test_a_file_of_the_same_name_and_size_is_not_taken_for_the_same(house) -> None:
    """Published bytes stay, and that is told."""
    house.tree.index()
    house.take()
    path = house.tree.folder / "linux-64" / ZLIB
    content = path.read_bytes()
    path.unlink()  # its bytes are ours, too
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    record = house.tree.records["linux-64"][ZLIB]
    for name in ("md5", "sha256"):
        record[name] = hashlib.new(name, path.read_bytes()).hexdigest()
    house.tree.index()
    report = house.take()
    assert (report.packages, report.known, report.skipped) == (0, 1, 1)
    assert "published with other content" in report.findings[0]
    assert house.session.upkeep.check(read_data=True).ok


def test_patches_come_along(house) -> None:
    """They are instructions here as they were there; empty ones are not taken."""
    house.tree.index(name="repodata_from_packages.json")
    patches = {
        "patch_instructions_version": 1,
        "packages.conda": {ZLIB: {"license": "patched"}},
        "remove": [OLD],
    }
    house.tree.write("linux-64", "patch_instructions.json", json.dumps(patches).encode())
    house.tree.write("noarch", "patch_instructions.json", b'{"packages":{},"remove":[]}')
    report = house.take()
    assert (report.packages, report.patches, report.skipped) == (2, 1, 0)
    assert house.record(ZLIB)["license"] == "patched"
    assert house.read("linux-64/repodata.json")["removed"] == [OLD]
    with pytest.raises(repocore.FileMissingError):
        house.session.files.stat(CHANNEL, "noarch/patch_instructions.json")


def test_patches_that_are_none_are_told(house) -> None:
    """The packages are taken without them."""
    house.tree.index()
    house.tree.write("linux-64", "patch_instructions.json", b'{"packages":{"a.conda":{}}}')
    report = house.take()
    assert (report.packages, report.patches, report.skipped) == (2, 0, 1)


def test_packages_of_the_third_revision_stay_there(house) -> None:
    """In whichever list of the index they are (CEP 48)."""
    house.tree.add("next-1.0-0.conda", "noarch", schema_version=3, flags=["fast"])
    records = house.tree.records["noarch"]
    document = {"v3": {"conda": {"next-1.0-0": records["next-1.0-0.conda"]}}}
    house.tree.index()
    house.tree.write("noarch", "repodata.json", json.dumps(document).encode())
    assert house.take().skipped == 0
    index = house.read("noarch/repodata.json")
    assert index["v3"]["conda"]["next-1.0-0"]["flags"] == ["fast"]
    assert index["packages.conda"] == {}


def test_an_export_imported_again_has_the_same_documents(house, tmp_path) -> None:
    """Byte for byte, and of every kind."""
    house.tree.index()
    house.tree.run_exports_json()
    patches = {"packages.conda": {ZLIB: {"depends": ["new"]}}, "patch_instructions_version": 1}
    house.tree.write("linux-64", "patch_instructions.json", json.dumps(patches).encode())
    house.take()
    house.session.repositories.create("conda/again")
    first, second = tmp_path / "first", tmp_path / "second"
    house.session.upkeep.export(CHANNEL, first)
    report = import_channel(house.session, ChannelTree.at(first), "conda/again")
    assert (report.packages, report.skipped, report.patches) == (2, 0, 1)
    house.session.upkeep.export("conda/again", second)
    one, other = (
        {p.relative_to(top): p.read_bytes() for p in top.rglob("*") if p.is_file()}
        for top in (first, second)
    )
    assert one == other


def test_a_dry_run_needs_no_installation(house) -> None:
    """It tells what an import would take."""
    house.tree.index()
    report = import_channel(None, ChannelTree.at(house.tree.folder), CHANNEL)
    assert (report.packages, report.known) == (2, 0)


def test_who_may_not_manage_may_not_import(house) -> None:
    """Records that nobody looked into are a manager's word."""
    house.tree.index()
    who = repocore.Principal(name="ann", groups=frozenset(), scope=None, via="test")
    house.session.accounts.add_rule(
        repocore.Rule(
            subject="user:ann",
            actions=repocore.actions_of(["read", "write"]),
            pattern="conda/main/**",
        )
    )
    session = house.session.registry.session(who)
    with pytest.raises(repocore.AccessDeniedError):
        import_channel(session, ChannelTree.at(house.tree.folder), CHANNEL)
