"""The format: what files say of their revision, and when it is whole."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given, strategies as st
from tests_manifest import manifest

from repocore import (
    BlobKey,
    ChecksumMismatchError,
    Checksums,
    DraftRelease,
    File,
    FilePath,
    Hasher,
    InvalidPackageError,
    InvalidPathError,
    release_key,
)
from repocore.plugins.conan.revisions import ConanFormat

FORMAT = ConanFormat()
RECIPE = "zlib/1.3/_/_/r1/export/"
PACKAGE = "zlib/1.3/_/_/r1/package/p1/v1/"


@attrs.frozen
class Content:
    """A body that has arrived."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def checksums(self) -> Checksums:
        hasher = Hasher(())
        hasher.update(self.data)
        return hasher.checksums()

    def open(self) -> io.BytesIO:
        return io.BytesIO(self.data)


def record(path, data):
    return json.loads(FORMAT.inspect(FilePath.parse(path), Content(data)).record)


def archives(data):
    return record(RECIPE + "conanmanifest.txt", data)["archives"]


def whole(base, names, listed):
    """Whether a revision with these files and that manifest may be seen."""
    packed = base is PACKAGE
    draft = DraftRelease(
        repository="conan/main",
        partition="zlib/1.3@_/_#r1:p1" if packed else "zlib/1.3@_/_",
        name="v1" if packed else "r1",
        package="zlib",
        version="1.3@_/_",
        parent="zlib/1.3@_/_#r1" if packed else None,
        record=json.dumps({"archives": listed}).encode() if "conanmanifest.txt" in names else b"{}",
    )
    files = [
        File(
            repository="conan/main",
            path=FilePath.parse(base + name),
            digest="0" * 64,
            size=1,
            partition=draft.partition,
            release=draft.name,
            media_type="text/plain",
            mutable=name.startswith("metadata/"),
            created_at=datetime.now(UTC),
            created_by="somebody",
            key=BlobKey("0" * 64, "0" * 16),
        )
        for name in names
    ]
    return FORMAT.whole(draft, files)


def test_a_recipe_revision_is_a_release_of_its_reference():
    """Its partition is the reference, and rules see the reference too."""
    facts = FORMAT.locate(FilePath.parse(RECIPE + "conanfile.py"))
    assert (facts.partition, facts.release, facts.parent) == ("zlib/1.3@_/_", "r1", None)
    assert (facts.package, facts.version) == ("zlib", "1.3@_/_")
    assert FORMAT.scope("zlib/1.3@_/_") == ("zlib", "1.3@_/_")


def test_a_package_revision_hangs_on_its_recipe_revision():
    """Its partition is the package, its parent the recipe revision."""
    facts = FORMAT.locate(FilePath.parse(PACKAGE + "conaninfo.txt"))
    assert (facts.partition, facts.release) == ("zlib/1.3@_/_#r1:p1", "v1")
    assert facts.parent == release_key("zlib/1.3@_/_", "r1")
    assert FORMAT.scope("zlib/1.3@_/_#r1:p1") == ("zlib", "1.3@_/_")


@pytest.mark.parametrize("base", [RECIPE, PACKAGE])
def test_metadata_is_mutable_and_the_manifest_announces(base):
    """A manifest that is sent again counts; metadata never does."""
    manifests = FORMAT.locate(FilePath.parse(base + "conanmanifest.txt"))
    metadata = FORMAT.locate(FilePath.parse(base + "metadata/conanmanifest.txt"))
    assert (manifests.announces, manifests.mutable) == (True, False)
    assert (metadata.announces, metadata.mutable) == (False, True)


def test_an_archive_takes_the_place_of_its_other_compressions():
    """A revision never has two archives of one kind."""
    facts = FORMAT.locate(FilePath.parse(PACKAGE + "conan_package.tgz"))
    assert [path.name for path in facts.replaces] == ["conan_package.txz", "conan_package.tzst"]
    assert facts.media_type == "application/gzip"


@pytest.mark.parametrize(
    ("listed", "implied"),
    [
        ((), []),
        (("conanfile.py",), []),
        (("conanfile.py", "conandata.yml"), ["conan_export"]),
        (("conanfile.py", "export_source/src/a.c"), ["conan_sources"]),
        (("a: b.txt", "export_source/x"), ["conan_export", "conan_sources"]),
    ],
)
def test_a_manifest_implies_archives(listed, implied):
    """Each line but the recipe's own lies in one of the archives."""
    assert archives(manifest(*listed)) == implied


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"time\n",
        b"-1\n",
        b"12\nno checksum\n",
        b"12\na: 12\n",
        b"\xff\n",
        b"12\n\xff: ",
    ],
)
def test_what_cannot_be_parsed_is_no_manifest(data):
    """It implies nothing, and says so."""
    assert archives(data) is None


@given(st.binary(max_size=60) | st.text("0123456789\n: ab", max_size=60).map(str.encode))
def test_any_bytes_can_be_sent_as_a_manifest(data):
    """Reading never fails, whatever arrives."""
    assert archives(data) in (None, [], ["conan_export"], ["conan_sources"])


def test_a_long_line_is_no_manifest():
    """Reading takes little memory, whatever the length of the body."""
    assert archives(b"12\n" + b"a" * (1 << 20)) is None
    many = manifest(*(f"export_source/{number}" for number in range(5000)))
    assert archives(many) == ["conan_sources"]


ARCHIVES = {"conan_export": "conan_export.tgz", "conan_sources": "conan_sources.txz"}
ESSENTIAL = {RECIPE: ["conanfile.py"], PACKAGE: ["conaninfo.txt", "conan_package.tzst"]}


@given(
    st.sampled_from([RECIPE, PACKAGE]),
    st.sets(
        st.sampled_from(["conan_export.tgz", "conan_sources.txz", "metadata/conan_export.tgz"])
    ),
    st.sets(st.sampled_from(["conan_export", "conan_sources"])),
    st.data(),
)
def test_a_revision_is_whole_when_nothing_is_missing(base, extra, listed, data):
    """The manifest, what the protocol asks for, and each archive that the manifest implies."""
    needed = {*ESSENTIAL[base], "conanmanifest.txt"}
    names = data.draw(st.sets(st.sampled_from(sorted(needed))))
    if base is RECIPE:
        names |= extra
        needed |= {ARCHIVES[stem] for stem in listed}
    assert whole(base, sorted(names), sorted(listed)) == (needed <= names)


@pytest.mark.parametrize("base", [RECIPE, PACKAGE])
def test_a_manifest_that_cannot_be_read_stands_for_the_whole(base):
    """Nobody can say what else to wait for."""
    assert whole(base, ["conanmanifest.txt"], None)
    assert not whole(base, ["metadata/conanmanifest.txt"], None)


def test_the_record_keeps_the_raw_conaninfo():
    """What is searched in later is what was sent, to the letter."""
    text = "[settings]\r\nos=Linux\n\x00é\n"
    assert record(PACKAGE + "conaninfo.txt", text.encode()) == {"conaninfo": text}
    assert record(PACKAGE + "conaninfo.txt", b"") == {"conaninfo": ""}


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a" * ((1 << 20) + 1)])
def test_a_conaninfo_that_is_none_is_refused(data):
    """Neither other encodings nor endless texts enter the catalog."""
    with pytest.raises(InvalidPackageError):
        record(PACKAGE + "conaninfo.txt", data)


def test_a_source_is_what_its_name_says():
    """Bytes under another digest are refused; the JSON beside them is free to change."""
    content = Content(b"source")
    name = content.checksums.sha256
    facts = FORMAT.inspect(FilePath.parse(f".sources/{name}"), content)
    assert (facts.partition, facts.package, facts.mutable) == (None, None, False)
    with pytest.raises(ChecksumMismatchError):
        FORMAT.inspect(FilePath.parse(f".sources/{name}"), Content(b"other"))
    assert FORMAT.inspect(FilePath.parse(f".sources/{name}.json"), Content(b"{}")).mutable


def test_paths_of_other_formats_are_refused():
    """What is no path of a Conan file never reaches the storage."""
    with pytest.raises(InvalidPathError):
        FORMAT.locate(FilePath.parse("linux-64/zlib-1.3-0.conda"))
