"""The facts of a package: those that an indexer of the ecosystem finds, ready for documents."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import hostile_packages as made
import msgpack
import pytest
from hostile_packages import INDEX, STEM, Content, member

from repocore.errors import InvalidPackageError
from repocore.model import FileFacts
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.inspecting import inspect_package
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.records import Extra, splice_shard

#: A folder of subdirs with packages of others, for who has one.
REAL = os.environ.get("REPOCORE_TEST_CONDA_PACKAGES")
ABOUT = {
    "home": "https://tide.example",
    "doc_url": ["https://docs.tide.example", "https://more.tide.example"],
    "summary": "It comes\n  and goes.",
    "license": "MIT",
    "keywords": ["sea", 7],
    "tags": "not a list",
    "dev_url": None,
    "extra": {"private": True},
}
PATHS = {
    "paths_version": 1,
    "paths": [
        {"_path": "bin/tide", "size_in_bytes": 2, "prefix_placeholder": "/p", "file_mode": "text"},
        {"_path": "bin/.tide-post-link.sh", "size_in_bytes": 1},
    ],
}
PAYLOAD = [member("bin/tide", b"#!"), member("bin/.tide-post-link.sh", b"x")]


def package(kind: str = "conda", files: dict[str, object] | None = None, **index: object) -> bytes:
    """With the given files of ``info/`` and fields of its index."""
    info = made.info_members({**INDEX, **index}, files)
    if kind == "conda":
        return made.conda(made.zstd(made.tar(*info)), made.zstd(made.tar(*PAYLOAD)))
    return made.bz2.compress(made.tar(*info, *PAYLOAD))


def inspected(data: bytes, kind: str = "conda", **options: object) -> FileFacts:
    return inspect_package(PackageFile.parse(f"{STEM}.{kind}"), Content(data), **options)


@pytest.mark.parametrize(
    ("kind", "section", "media_type"),
    [
        ("conda", "packages.conda", "application/octet-stream"),
        ("tar.bz2", "packages", "application/x-bzip2"),
    ],
)
def test_the_facts_of_both_kinds(kind, section, media_type):
    """Everything that the catalog and the documents need, from one reading."""
    data = package(kind, {"paths.json": PATHS, "about.json": ABOUT, "run_exports.json": ["tide"]})
    content = Content(data)
    facts = inspected(data, kind)
    assert (facts.partition, facts.release) == ("linux-64", f"{STEM}.{kind}")
    assert (facts.package, facts.version, facts.section) == ("tide", "1.0", section)
    assert (facts.media_type, facts.sole, facts.mutable) == (media_type, True, False)
    record = json.loads(facts.record)
    sums = {"md5": content.checksums.md5, "sha256": content.checksums.sha256, "size": len(data)}
    assert record == {**INDEX, **sums}
    extra = Extra.unpack(facts.extra)
    assert json.loads(extra.run_exports) == {"weak": ["tide"]}
    assert msgpack.unpackb(splice_shard(extra.shard, 5_000)) == {
        **record,
        "md5": bytes.fromhex(sums["md5"]),
        "sha256": bytes.fromhex(sums["sha256"]),
        "run_exports": {"weak": ["tide"]},
        "indexed_timestamp": 5,
    }


def test_channeldata_has_the_fields_of_its_kind():
    """One line of text, lists of texts, truth values, seconds; nothing else of about.json."""
    facts = inspected(package(files={"paths.json": PATHS, "about.json": ABOUT}))
    assert json.loads(Extra.unpack(facts.extra).channeldata) == {
        "activate.d": False,
        "binary_prefix": False,
        "deactivate.d": False,
        "doc_url": "https://docs.tide.example",
        "home": "https://tide.example",
        "keywords": ["sea"],
        "license": "MIT",
        "post_link": True,
        "post_unlink": False,
        "pre_link": False,
        "pre_unlink": False,
        "summary": "It comes and goes.",
        "text_prefix": True,
        "timestamp": 1_700_000_000,
    }


def test_a_package_without_a_listing_tells_its_scripts():
    """Old ones have none; their members say the same."""
    channeldata = json.loads(Extra.unpack(inspected(package()).extra).channeldata)
    assert channeldata["post_link"] is True
    assert channeldata["text_prefix"] is False


def test_a_package_without_run_exports_says_so():
    """It was opened, so that it is known (CEP 21)."""
    extra = Extra.unpack(inspected(package()).extra)
    assert extra.run_exports == b"{}"
    assert msgpack.unpackb(splice_shard(extra.shard, 0))["run_exports"] == {}


@pytest.mark.parametrize(("kind", "section"), [("conda", "v3.conda"), ("tar.bz2", "v3.tar.bz2")])
def test_packages_of_the_third_revision_have_a_section_of_their_own(kind, section):
    """With their specs in the form that it asks for (CEP 48), in both forms of the record."""
    facts = inspected(package(kind, repodata_revision=3), kind)
    assert facts.section == section
    record = json.loads(facts.record)
    assert record["depends"] == ['zlib[version=">=1.3"]']
    assert "repodata_revision" not in record
    shard = msgpack.unpackb(splice_shard(Extra.unpack(facts.extra).shard, 0))
    assert shard["depends"] == record["depends"]


def test_the_subdir_is_the_package_s_own():
    """Unless it does not name one, and is sent to one."""
    assert inspected(package(subdir="noarch")).partition == "noarch"
    assert inspected(package(subdir=None), subdir="osx-64").partition == "osx-64"
    with pytest.raises(InvalidPackageError, match="subdir"):
        inspected(package(subdir=None))
    with pytest.raises(InvalidPackageError, match="sent to"):
        inspected(package(), subdir="osx-64")


def test_the_clock_can_be_given():
    """A build may be a day ahead of it, and no more."""
    ahead = INDEX["timestamp"] / 1000 - 24 * 3600
    assert inspected(package(), now=ahead + 1).package == "tide"
    with pytest.raises(InvalidPackageError, match="future"):
        inspected(package(), now=ahead - 1)
    with pytest.raises(InvalidPackageError, match="future"):
        inspected(package(timestamp=int((time.time() + 2 * 24 * 3600) * 1000)))


def test_limits_are_those_that_are_given():
    """A site has the last word."""
    with pytest.raises(InvalidPackageError, match="more than 2"):
        inspected(package(), limits=ArchiveLimits(members=2))


def rattler_records(folder: Path) -> dict[str, dict[str, object]]:
    """The records of the folder's channel, by file name, as rattler's indexer has them."""
    index = pytest.importorskip("rattler.index")
    asyncio.run(index.index_fs(str(folder), write_shards=False, write_zst=False))
    found: dict[str, dict[str, object]] = {}
    for path in folder.glob("*/repodata.json"):
        repodata = json.loads(path.read_text())
        for section in ("packages", "packages.conda"):
            found |= repodata[section]
        for kind, records in repodata.get("v3", {}).items():
            found |= {f"{stem}.{kind}": record for stem, record in records.items()}
    return found


def agrees(facts: FileFacts, theirs: dict[str, object]) -> None:
    """Whether each field that they have is the same here, but for what they write otherwise.

    The time of indexing is the server's.  `arch` and `platform` say what `subdir` says, and
    conda-index, too, leaves them out.  Run exports are in their records, if they are not empty and
    the package is a `.conda`; here documents have them, of both kinds.
    """
    ours = json.loads(facts.record)
    run_exports = json.loads(Extra.unpack(facts.extra).run_exports)
    if facts.release and facts.release.endswith(".conda"):
        assert run_exports == theirs.get("run_exports", {})
    own = {"arch", "indexed_timestamp", "platform", "run_exports"}
    for name in (theirs.keys() - own) | (ours.keys() & KNOWN):
        # Empty values they leave out, or add.
        assert (ours.get(name) or None) == (theirs.get(name) or None), name


#: Fields of a record that rattler knows; others it leaves out.
KNOWN = {
    "build",
    "build_number",
    "constrains",
    "depends",
    "extra_depends",
    "features",
    "flags",
    "license",
    "license_family",
    "md5",
    "name",
    "noarch",
    "purls",
    "python_site_packages_path",
    "sha256",
    "size",
    "subdir",
    "timestamp",
    "track_features",
    "version",
}
INDEXES = [
    {},
    {"noarch": "python", "subdir": "noarch", "license": "MIT", "constrains": ["a <2"]},
    {"track_features": "b c", "arch": "x86_64", "platform": "linux"},
    {"repodata_revision": 3, "extra_depends": {"test": ["pytest >=7", "c"]}},
    {"repodata_revision": 3, "depends": ['a >=2[when="__unix"]', "b 1.2 h_0", "c=1.2", "d"]},
]


@pytest.mark.parametrize("index", INDEXES, ids=str)
@pytest.mark.parametrize("kind", ["conda", "tar.bz2"])
def test_records_are_those_of_another_indexer(index, kind, tmp_path):
    """Of the same bytes, field by field, of all revisions."""
    data = package(kind, {"paths.json": PATHS}, **index)
    facts = inspected(data, kind)
    path = tmp_path / str(facts.partition) / f"{STEM}.{kind}"
    path.parent.mkdir()
    path.write_bytes(data)
    agrees(facts, rattler_records(tmp_path)[path.name])


@pytest.mark.skipif(REAL is None, reason="REPOCORE_TEST_CONDA_PACKAGES names no folder")
def test_packages_of_others_have_the_records_of_another_indexer(tmp_path):
    """Whatever there is in the folder is read, or refused for what no client could install."""
    refused = {}
    for path in sorted(Path(str(REAL)).glob("*/*.*")):
        subdir, data = path.parent.name, path.read_bytes()
        file = PackageFile.parse(path.name)
        try:
            facts = inspect_package(file, Content(data), subdir=subdir)
        except InvalidPackageError as problem:
            refused[path.name] = str(problem)
            continue
        target = tmp_path / path.name / subdir / path.name
        target.parent.mkdir(parents=True)
        target.write_bytes(data)
        agrees(facts, rattler_records(target.parent.parent)[path.name])
    assert all("not in the package" in reason for reason in refused.values()), refused
