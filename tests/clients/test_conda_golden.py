"""The documents of a channel beside those of two other indexers over the same packages.

`conda-index` is the program that most channels are made with, py-rattler's indexer the one of the
clients of today.  Every difference stands here, with its reason.
"""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import msgpack
import pytest
import zstandard
from old_conan import wanted
from release_query import channel, decoded, patch, shards

from repocore.model import Checksums, Hasher
from repocore.plugins.conda.channeldata import ChanneldataIndexer
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.inspecting import inspect_package
from repocore.plugins.conda.repodata import RepodataIndexer
from repocore.plugins.conda.run_exports import RunExportsIndexer
from repocore.plugins.conda.settings import CondaSettings
from repocore.plugins.conda.shards import ShardsIndexer
from repocore.ports import Listed
from repocore.testing.documents import Documents, MemoryReleases, make_documents

pytestmark = [pytest.mark.clients, pytest.mark.slow]

CONDA_INDEX = "conda-index==0.13.*"
#: conda is not on PyPI; of it the indexer wants an order of versions, which are plain numbers here,
#: and the names of subdirs.
RUN = """
import sys, types
def module(name, **values):
    sys.modules[name] = made = types.ModuleType(name)
    vars(made).update(values)
class VersionOrder(tuple):
    def __new__(cls, text):
        return super().__new__(cls, map(int, text.split(".")))
for name in ("conda", "conda.models", "conda.base"):
    module(name)
module("conda.models.version", VersionOrder=VersionOrder)
module("conda.base.constants", PLATFORM_DIRECTORIES=("noarch", "linux-64"))
from conda_index.index import ChannelIndex
index = ChannelIndex(
    sys.argv[1], "main", threads=1, write_zst=True, write_bz2=True, write_run_exports=True,
    write_shards=True, write_current_repodata=False,
)
index.index(patch_generator=None)
index.update_channeldata()
"""
AT = 1_700_000_000_000_000
PATCHES = {
    "patch_instructions_version": 1,
    "packages": {"tide-1.2-h0_0.tar.bz2": {"depends": ["wind >=2"], "license": "MIT"}},
    "packages.conda": {
        "tide-1.3-h0_0.conda": {"constrains": ["sun <1"]},
        "moon-0.1-0.conda": {"license": None},
    },
    "remove": ["gone-1.0-0.conda"],
    "revoke": ["bad-1.0-0.tar.bz2"],
}


# ------------------------------------------------------------------------------------- packages


def packed(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def package(file: PackageFile, info: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """A package with these members of info, as JSON, and these files."""
    inner = {f"info/{name}": json.dumps(value).encode() for name, value in info.items()}
    stream = io.BytesIO()
    if file.kind == "tar.bz2":
        with tarfile.open(fileobj=stream, mode="w:bz2") as archive:
            for name, content in {**inner, **files}.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return stream.getvalue()
    stem = f"{file.name}-{file.version}-{file.build}"
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        archive.writestr(f"pkg-{stem}.tar.zst", zstandard.compress(packed(files)))
        archive.writestr(f"info-{stem}.tar.zst", zstandard.compress(packed(inner)))
    return stream.getvalue()


def build(name: str, subdir: str = "noarch", **more: Any) -> bytes:
    """A package of that file name; keywords are of index.json, or other members of info."""
    file = PackageFile.parse(name)
    files: Mapping[str, bytes] = more.pop("files", {"share/tide.txt": b"high"})
    about, run_exports = more.pop("about", None), more.pop("run_exports", None)
    index = {
        "name": file.name,
        "version": file.version,
        "build": file.build,
        "build_number": 0,
        "depends": [],
        "subdir": subdir,
        "arch": None,
        "platform": None,
        "timestamp": 1_600_000_000_000,
        **more,
    }
    paths = [
        {
            "_path": path,
            "path_type": "hardlink",
            "size_in_bytes": len(content),
            **({"file_mode": "text", "prefix_placeholder": "/old"} if b"/old" in content else {}),
        }
        for path, content in files.items()
    ]
    info = {"index.json": index, "paths.json": {"paths_version": 1, "paths": paths}}
    info |= {} if about is None else {"about.json": about}
    info |= {} if run_exports is None else {"run_exports.json": run_exports}
    return package(file, info, files)


def all_packages() -> dict[str, bytes]:
    about = {"home": "https://tide.example", "summary": "Tides.", "license": "BSD-3-Clause"}
    exported = {"weak": ["tide >=1.2,<2"]}
    script = {"etc/conda/activate.d/tide.sh": b"true", "bin/tide": b"#!/old/bin/sh"}
    tide = {"depends": ["wind >=1"], "license": "BSD-3-Clause", "run_exports": exported}
    return {
        "noarch/tide-1.2-h0_0.tar.bz2": build("tide-1.2-h0_0.tar.bz2", about=about, **tide),
        "noarch/tide-1.2-h0_0.conda": build("tide-1.2-h0_0.conda", about=about, **tide),
        "noarch/tide-1.3-h0_0.conda": build(
            "tide-1.3-h0_0.conda", about={"summary": "Newer tides."}, timestamp=1_650_000_000_000
        ),
        "noarch/moon-0.1-0.conda": build("moon-0.1-0.conda", license="MIT ©", noarch="generic"),
        "noarch/gone-1.0-0.conda": build("gone-1.0-0.conda"),
        "noarch/bad-1.0-0.tar.bz2": build("bad-1.0-0.tar.bz2", depends=["moon"]),
        "linux-64/tide-1.10-h1_1.conda": build(
            "tide-1.10-h1_1.conda", "linux-64", files=script, build_number=1, about=about
        ),
    }


# -------------------------------------------------------------------------------------- indexes


@attrs.frozen
class Body:
    """A body that has arrived, as an upload has it."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def checksums(self) -> Checksums:
        hasher = Hasher({"md5"})
        hasher.update(self.content)
        return hasher.checksums()

    def open(self) -> io.BytesIO:
        return io.BytesIO(self.content)


@attrs.frozen
class Ours:
    """Our documents of each subdir and of the channel."""

    subdirs: Mapping[str, tuple[Documents, ...]]
    channel: Documents

    def read(self, path: str) -> Any:
        subdir = path.rpartition("/")[0]
        for documents in self.subdirs[subdir] if subdir else (self.channel,):
            if path in documents.mutable:
                return decoded(documents, path)
        raise KeyError(path)


@pytest.fixture(scope="module")
def packages() -> dict[str, bytes]:
    return all_packages()


def uploaded(packages: Mapping[str, bytes]) -> MemoryReleases:
    there = channel()
    for path, content in packages.items():
        subdir, _, name = path.partition("/")
        file = PackageFile.parse(name)
        facts = inspect_package(file, Body(content), subdir=subdir)
        there.put(
            subdir,
            Listed(name, file.name, file.version, facts.section, AT, facts.record, facts.extra),
        )
    return there


@pytest.fixture(scope="module")
def unpatched(packages: dict[str, bytes]) -> Mapping[str, Documents]:
    """The shards of each subdir after these uploads."""
    there, indexer = uploaded(packages), ShardsIndexer(settings=CondaSettings())
    return {subdir: make_documents(indexer, there, subdir) for subdir in ("noarch", "linux-64")}


@pytest.fixture(scope="module")
def ours(packages: dict[str, bytes]) -> Ours:
    """What a channel says after these uploads, and one of patches."""
    there = uploaded(packages)
    there.put("noarch", patch(PATCHES, AT))
    settings = CondaSettings(bz2=True)
    indexers = (
        RepodataIndexer(settings=settings),
        RepodataIndexer(settings=settings, patched=False),
        RunExportsIndexer(settings=settings),
        ShardsIndexer(settings=settings),
    )
    return Ours(
        {
            subdir: tuple(make_documents(indexer, there, subdir) for indexer in indexers)
            for subdir in ("noarch", "linux-64")
        },
        make_documents(ChanneldataIndexer(settings=settings), there, ""),
    )


def write(folder: Path, packages: Mapping[str, bytes]) -> Path:
    for path, content in packages.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def theirs(packages: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that conda-index has indexed."""
    folder = write(tmp_path_factory.mktemp("conda-index"), packages)
    (folder / "noarch/patch_instructions.json").write_text(json.dumps(PATCHES))
    command = [wanted(CONDA_INDEX), "-c", RUN, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def rattlers(packages: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that py-rattler has indexed, without patches."""
    index = pytest.importorskip("rattler.index", reason="py-rattler is not installed")
    folder = write(tmp_path_factory.mktemp("rattler"), packages)
    asyncio.run(index.index_fs(folder))
    return folder


def unstamped(document: Mapping[str, Any]) -> dict[str, Any]:
    """Our document without stamps: conda-index knows none (CEP 47)."""
    found = dict(document)
    for key in ("packages", "packages.conda"):
        found[key] = {
            name: {field: value for field, value in record.items() if field != "indexed_timestamp"}
            for name, record in found[key].items()
        }
    return found


def their_shards(folder: Path, subdir: str, place: str = "") -> dict[str, Any]:
    index = unpacked(folder / subdir / "repodata_shards.msgpack.zst")
    return {
        name: unpacked(folder / subdir / place / f"{digest.hex()}.msgpack.zst")
        for name, digest in index["shards"].items()
    }


def unpacked(path: Path) -> Any:
    plain = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=1 << 24)
    return msgpack.unpackb(plain)


# --------------------------------------------------------------------------------- conda-index


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_repodata_from_packages_is_that_of_conda_index(ours, theirs, subdir):
    """Each record, field by field."""
    path = f"{subdir}/repodata_from_packages.json"
    assert unstamped(ours.read(path)) == json.loads((theirs / path).read_bytes())


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_repodata_is_that_of_conda_index(ours, theirs, subdir):
    """Patches are applied in the same order, to twins too."""
    path = f"{subdir}/repodata.json"
    expected = json.loads((theirs / path).read_bytes())
    if subdir == "noarch":
        # A patch with null takes the field away in both.
        assert "license" not in expected["packages.conda"]["moon-0.1-0.conda"]
    assert unstamped(ours.read(path)) == expected
    assert ours.read(f"{path}.zst") == ours.read(f"{path}.bz2") == ours.read(path)


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_run_exports_are_those_of_conda_index(ours, theirs, subdir):
    """Every package, whatever patches say of it."""
    path = f"{subdir}/run_exports.json"
    assert ours.read(path) == json.loads((theirs / path).read_bytes())


def test_channeldata_is_that_of_conda_index(ours, theirs):
    """Name by name, over both subdirs."""
    expected = json.loads((theirs / "channeldata.json").read_bytes())
    found = ours.read("channeldata.json")
    assert found.keys() == expected.keys()
    assert found["subdirs"] == expected["subdirs"]
    assert found["packages"].keys() == expected["packages"].keys()
    # A patch took the licence away; conda-index then says what the package had said.
    assert expected["packages"]["moon"].pop("license") == "MIT ©"
    for name, entry in found["packages"].items():
        assert entry == expected["packages"][name], name


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_shards_are_those_of_conda_index(unpatched, theirs, subdir):
    """Every record with its run exports and digests as bytes.

    Without patches: conda-index reads a file of instructions for repodata.json only.
    """
    expected = their_shards(theirs, subdir)
    found = shards(unpatched[subdir], subdir)
    assert {name: unstamped(shard) for name, shard in found.items()} == expected


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_the_index_of_shards_is_that_of_conda_index(ours, theirs, subdir):
    """Its keys and kinds; shards are in a folder of their own, the time is that of a release."""
    path = f"{subdir}/repodata_shards.msgpack.zst"
    found, expected = ours.read(path), unpacked(theirs / path)
    assert found.keys() == expected.keys()
    assert found["version"] == expected["version"]
    differing = {
        key: (found["info"][key], expected["info"][key])
        for key in expected["info"]
        if found["info"][key] != expected["info"][key]
    }
    assert found["info"].keys() == expected["info"].keys()
    assert differing.keys() == {"created_at", "shards_base_url"}
    assert differing["created_at"][0] == "2023-11-14T22:13:20Z"
    assert differing["shards_base_url"] == ("./shards/", "")


# ------------------------------------------------------------------------------------- rattler


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_repodata_is_that_of_rattler(ours, rattlers, subdir):
    """Every record, before patches; its stamps are of the moment in which it ran."""
    found = unstamped(ours.read(f"{subdir}/repodata_from_packages.json"))
    expected = unstamped(json.loads((rattlers / subdir / "repodata.json").read_bytes()))
    assert expected.pop("v3") == {}  # left out here where it is empty
    assert found.pop("removed") == []  # it says so only if something was
    if subdir == "noarch":
        # It has run exports in records of .conda files.  They are no field of repodata.json
        # (CEP 36), and make it larger for everybody who only installs.
        assert expected["packages.conda"]["tide-1.2-h0_0.conda"].pop("run_exports")
    assert found == expected


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_shards_are_those_of_rattler(unpatched, rattlers, subdir):
    """The same names, each with the same records."""
    found = shards(unpatched[subdir], subdir)
    expected = their_shards(rattlers, subdir, "shards")
    assert found.keys() == expected.keys()
    for name, shard in expected.items():
        ours, theirs = unstamped(found[name]), unstamped(shard)
        for key in ("packages", "packages.conda"):
            for file, record in theirs[key].items():
                # It reads run exports of .conda files only, and says nothing where there are none,
                # which by CEP 21 means that nobody knows.
                exports = record.setdefault("run_exports", ours[key][file]["run_exports"])
                assert exports == {} or file.startswith("tide-1.2-")
        assert ours == {k: v for k, v in theirs.items() if v or k in ours}


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_rattler_reads_ours(ours, subdir, tmp_path):
    """Its own parser finds all packages in what we serve."""
    rattler = pytest.importorskip("rattler", reason="py-rattler is not installed")
    path = tmp_path / "repodata.json"
    path.write_text(json.dumps(ours.read(f"{subdir}/repodata.json")))
    found = rattler.SparseRepoData(rattler.Channel("main"), subdir, path)
    document = ours.read(f"{subdir}/repodata.json")
    records = {**document["packages"], **document["packages.conda"]}
    assert set(found.package_names()) == {record["name"] for record in records.values()}
