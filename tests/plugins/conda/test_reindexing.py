"""Packages are opened in other processes as they are in this one."""

from __future__ import annotations

from pathlib import Path

import pytest
from static_channel import StaticChannel

import repocore
from repocore.config import Settings
from repocore.plugins.conda import importing, reindexing
from repocore.plugins.conda.channel_tree import ChannelTree, TreeFile
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.importing import import_channel
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.reindexing import open_packages
from repocore.registry import Upload

CHANNEL = "conda/main"


def upload(path: Path) -> Upload:
    target = PackageFile.parse(path.name).path("noarch")
    return Upload(path=target, stream=TreeFile(path), length=path.stat().st_size)


def test_what_is_found_elsewhere_is_what_is_found_here(tmp_path, monkeypatch) -> None:
    """Facts and digests of the bytes, in the order of the uploads; a bad one says why it is."""
    tree = StaticChannel(tmp_path)
    good = [tree.add(f"p{n}-1.0-0.conda") for n in range(70)]
    bad = tmp_path / "noarch" / "bad-1.0-0.conda"
    bad.write_bytes(b"no package")
    uploads = [upload(path) for path in (*good[:40], bad, *good[40:])]
    found = list(open_packages(uploads, ArchiveLimits(), 2))
    assert [one.path for one, _ in found] == [one.path for one in uploads]
    assert [one.path.name for one, why in found if why] == [bad.name]
    one, _ = found[0]
    assert one.facts is not None
    assert one.facts.package == "p0"
    record = tree.records["noarch"]["p0-1.0-0.conda"]
    assert {d.algorithm: d.hex for d in one.announced} == {
        name: record[name] for name in ("md5", "sha256")
    }


def test_a_large_package_is_left_to_who_takes_it(tmp_path, monkeypatch) -> None:
    """It is not read twice."""
    monkeypatch.setattr(reindexing, "LARGEST", 10)
    path = StaticChannel(tmp_path).add("p-1.0-0.conda")
    [(found, why)] = open_packages([upload(path)], ArchiveLimits(), 1)
    assert (found.facts, found.announced, why) == (None, (), "")


@pytest.mark.parametrize("processes", [0, 2])
def test_an_import_with_processes_is_one_without(tmp_path, monkeypatch, processes) -> None:
    """The same packages, the same findings."""
    monkeypatch.setattr(importing, "_MANY", 2)
    tree = StaticChannel(tmp_path / "static")
    tree.add("a-1.0-0.conda")
    tree.add("b-1.0-0.tar.bz2")
    (tmp_path / "static" / "noarch" / "c-1.0-0.conda").write_bytes(b"no package")
    with repocore.open_registry(settings=Settings(data=tmp_path / "data")) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(CHANNEL)
        report = import_channel(
            session, ChannelTree.at(tree.folder), CHANNEL, reindex=True, processes=processes
        )
        assert (report.packages, report.opened, report.skipped) == (2, 2, 1)
        assert report.findings[0].startswith("noarch/c-1.0-0.conda: The .conda is not a ZIP")
        assert session.upkeep.check(read_data=True).ok
