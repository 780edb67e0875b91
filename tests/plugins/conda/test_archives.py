"""What is refused at upload: each with one sentence, in bounded memory, and never a crash."""

from __future__ import annotations

import bz2
import io
import json
import os
import struct
import tarfile
import tracemalloc
import zipfile

import attrs
import hostile_packages as made
import pytest
import zstandard
from hostile_packages import INDEX, LIMITS, facts, member
from hypothesis import given, strategies as st

from repocore import InvalidPackageError

HONEST = made.conda()
DIRECTORY = b"PK\1\2"
END = b"PK\5\6"


def refused(data: bytes, kind: str = "conda", subdir: str | None = None) -> str:
    with pytest.raises(InvalidPackageError) as caught:
        facts(data, kind, subdir)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 600
    return sentence


def test_honest_packages_of_both_kinds_are_read() -> None:
    """The same record, but for what the file itself is."""
    new, old = facts(HONEST), facts(made.old_kind(), "tar.bz2")
    assert (new.package, new.version, new.partition) == ("tide", "1.0", "linux-64")
    assert (new.section, old.section) == ("packages.conda", "packages")
    first, second = json.loads(new.record), json.loads(old.record)
    for one in (first, second):
        assert {*one} >= {"md5", "sha256", "size"}
        for own in ("md5", "sha256", "size"):
            del one[own]
    assert first == second == INDEX


# --------------------------------------------------------------------------- T5: what it says it is


@pytest.mark.parametrize(
    "index",
    [
        {"name": "ebb"}, {"version": "1.1"}, {"build": "1"}, {"subdir": "osx-64"},
        {"subdir": "../osx-64"}, {"subdir": 7}, {"name": ["tide"]}, {"build_number": "0"},
        {"build_number": -1}, {"depends": "zlib"}, {"depends": [7]}, {"name": "__tide"},
        {"timestamp": 99_999_999_999_999}, {"timestamp": "now"}, {"noarch": 5},
    ],
    ids=str,
)  # fmt: skip
def test_an_index_that_is_not_of_the_file_is_refused(index) -> None:
    """T5: name, version, build, and subdir are those of the path; fields have their types."""
    refused(made.with_info(**index), subdir="linux-64")


@pytest.mark.parametrize("field", ["name", "version", "build", "build_number"])
def test_an_index_without_a_field_is_refused(field) -> None:
    """Clients cannot do without."""
    index = {name: value for name, value in INDEX.items() if name != field}
    sentence = refused(made.conda(made.zstd(made.tar(*made.info_members(index)))))
    assert field in sentence


def test_inner_names_are_of_the_file() -> None:
    """A file that was renamed is not what it was built as."""
    assert made.STEM in refused(made.conda(stem="ebb-1.0-0"))


def test_a_package_without_an_index_is_refused() -> None:
    """It says nothing of itself."""
    empty = made.zstd(made.tar(member("info/about.json", b"{}")))
    assert "info/index.json" in refused(made.conda(empty))


# ------------------------------------------------------------------------------------- T7: bombs


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: made.conda(payload=made.zstd(made.tar(member("zeros", bytes(9 << 20))))),
        lambda: made.conda(payload=made.zstd(bytes(64 << 20))),
        lambda: made.with_payload(*(member(f"f{n}") for n in range(300))),
        lambda: made.with_info(member("info/x", bytes(4 << 20))),
        lambda: made.with_info(member("info/about.json", b'"' + b"x" * (1 << 17) + b'"')),
        lambda: made.with_info(member("info/paths.json", b"[" + b"1," * (1 << 18) + b"1]")),
        lambda: made.conda(payload=made.zstd(made.tar()) * 3),
        lambda: made.conda(payload=made.zstd(made.zstd(made.tar()))),
    ],
    ids=["file", "zeros", "members", "info", "document", "listing", "frames", "nested"],
)  # fmt: skip
def test_bombs_are_refused_in_little_memory(bomb) -> None:
    """T7: whatever a byte unpacks to, it is counted and not kept."""
    data = bomb()
    tracemalloc.start()
    refused(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20


def test_members_that_nothing_was_sent_for_are_refused() -> None:
    """T7: a few bytes name very many members, each of which is work."""
    few = attrs.evolve(LIMITS, members=10_000, free_members=100)
    empty, full = (
        made.with_payload(*(member(f"f{n}", body) for n, body in enumerate(bodies)))
        for bodies in ([b""] * 2000, [os.urandom(64) for _ in range(200)])
    )
    with pytest.raises(InvalidPackageError, match=r"more than \d+ files"):
        facts(empty, limits=few)
    assert facts(full, limits=few).package == "tide"


def test_a_bomb_of_bzip2_is_refused() -> None:
    """The old kind, too."""
    refused(made.old_kind(member("zeros", bytes(9 << 20))), "tar.bz2")


def test_a_window_that_wants_much_memory_is_refused() -> None:
    """A frame names what its reader has to set aside."""
    window = zstandard.ZstdCompressionParameters(window_log=30)
    compressor = zstandard.ZstdCompressor(compression_params=window).compressobj()
    frame = compressor.compress(made.tar(member("x", b"y" * 4096))) + compressor.flush()
    refused(made.conda(payload=frame))


def test_sparse_files_are_refused() -> None:
    """T7: a hole has no bytes in the archive, and many where it is unpacked."""
    header, _ = member("hole")
    data = bytearray(made.tar((header, b"")))
    data[156:157] = b"S"
    refused(made.conda(payload=made.zstd(_summed(data))))


def _summed(data: bytearray) -> bytes:
    """A tar header with its checksum right again."""
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


# ----------------------------------------------------------------- T8: archives of two meanings


def _doubled_directory() -> bytes:
    start = HONEST.index(DIRECTORY)
    return HONEST + HONEST[start:]


def _other_local_name() -> bytes:
    return HONEST.replace(b"metadata.json", b"metadatb.json", 1)


def _overlapping() -> bytes:
    data = bytearray(HONEST)
    at = data.index(DIRECTORY)
    second = data.index(DIRECTORY, at + 4)
    struct.pack_into("<I", data, second + 42, struct.unpack_from("<I", data, at + 42)[0])
    return bytes(data)


def _wrong_checksum() -> bytes:
    data = bytearray(HONEST)
    at = data.index(DIRECTORY)
    data[at + 16] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    "make",
    [
        _doubled_directory,
        _other_local_name,
        _overlapping,
        _wrong_checksum,
        lambda: made.conda(more={"metadata.json": b'{"conda_pkg_format_version": 2}'}),
        lambda: made.conda(more={"extra.txt": b"x"}),
        lambda: made.conda(compression=zipfile.ZIP_DEFLATED),
        lambda: b"MZ" + HONEST,
        lambda: HONEST + b"x",
        lambda: HONEST[:-4] + b"x\0\0\0",
        lambda: HONEST.replace(b'"conda_pkg_format_version": 2', b'"conda_pkg_format_version": 3'),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_clients_could_read_differently_is_refused(make) -> None:
    """T8: two directories, two names of one member, overlaps, doubles, bytes around it."""
    refused(make())


# ------------------------------------------------------------------ T9: members that lead outside


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up", "a/../../up", "a/..", "C:/x", "C:x", "\\\\host\\x", "a\\..\\..\\x",
     "a\nb", "conda-meta/history", "Conda-Meta/x.json", "info/repodata_record.json",
     "x/" * 200 + "deep"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["conda", "tar.bz2"])
def test_a_member_that_leads_elsewhere_is_refused(name, kind) -> None:
    """T9: absolute, upwards, another drive, a client's own files, and too deep."""
    one = member(name, b"x")
    if kind == "conda":
        data = made.conda(payload=made.zstd(made.tar(one, format=tarfile.PAX_FORMAT)))
    else:
        entries = [*made.info_members(), one]
        data = bz2.compress(made.tar(*entries, format=tarfile.PAX_FORMAT))
    refused(data, kind)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"), (tarfile.SYMTYPE, "../../up"), (tarfile.LNKTYPE, "../up"),
        (tarfile.LNKTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "missing"), (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""), (tarfile.FIFOTYPE, ""),
    ],
)  # fmt: skip
def test_links_outside_and_devices_are_refused(kind, target) -> None:
    """T9: whatever a client unpacks stays in its folder."""
    refused(made.with_payload(member("lib/link", type=kind, linkname=target)))


def test_a_member_behind_a_link_is_refused() -> None:
    """Where it lands would be the link's decision."""
    link = member("lib", type=tarfile.SYMTYPE, linkname="share")
    refused(made.with_payload(link, member("lib/x", b"x")))


def test_links_that_stay_inside_are_fine() -> None:
    """Shared libraries are full of them."""
    linked = made.with_payload(
        member("lib/libz.so.1", b"x"),
        member("lib/libz.so", type=tarfile.SYMTYPE, linkname="libz.so.1"),
        member("bin/z", type=tarfile.SYMTYPE, linkname="../lib/libz.so.1"),
        member("lib/libz.so.1.3", type=tarfile.LNKTYPE, linkname="lib/libz.so.1"),
    )
    assert facts(linked).package == "tide"


def test_one_path_twice_is_refused() -> None:
    """The second would be what is installed, the first what was looked at."""
    refused(made.with_payload(member("x", b"1"), member("x", b"2")))


# ------------------------------------------------------------------ T10: what an installer goes by


@pytest.mark.parametrize(
    "entry",
    [
        "x = a:b\nevil = c:d",
        "../x = a:b",
        "/bin/x = a:b",
        "x = a;import os",
        "x",
        "x = a:b()",
        7,
        "a/b = a:b",
    ],
)
def test_entry_points_that_lead_elsewhere_are_refused(entry) -> None:
    """T10: a client writes a script of that name, which imports what stands behind it."""
    link = {"noarch": {"type": "python", "entry_points": [entry]}, "package_metadata_version": 1}
    refused(made.with_info(member("info/link.json", json.dumps(link).encode()), noarch="python"))


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "C:\\x", "missing", "a/../../x", 5])
def test_a_listing_that_leads_elsewhere_is_refused(path) -> None:
    """T10: info/paths.json names what the package has, and nothing else."""
    entry = {"_path": path, "path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": 1}
    listing = json.dumps({"paths_version": 1, "paths": [entry]}).encode()
    refused(made.with_info(member("info/paths.json", listing)))


# -------------------------------------------------------------------------------- T11: JSON bombs


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"n": 1' + b"0" * 50_000 + b"}",
        b'{"name": "tide", "name": "ebb"}', b'{"n": NaN}', b'{"n": Infinity}',
        b'{"n": "\\ud800"}', b"\xff\xfe{}",
        b"{}{}", b"", b"[]", b"null", b'{"n": 1e999}', b"{'n': 1}",
    ],
    ids=range(14),
)  # fmt: skip
@pytest.mark.parametrize("name", ["index.json", "about.json", "run_exports.json", "link.json"])
def test_json_that_is_no_honest_description_is_refused(name, text) -> None:
    """T11: depth, huge numbers, doubled keys, what JSON has not, half characters."""
    if name == "run_exports.json" and text in {b"[]", b"null"}:
        return  # a list is one of its forms, and null is none
    files = {name: text}
    index = None if name != "index.json" else text
    refused(made.conda(made.zstd(made.tar(*made.info_members(index, files)))))


# ------------------------------------------------------------- T12: cut off, and with more behind


@given(st.integers(0, len(HONEST) - 1))
def test_a_package_that_is_cut_off_is_refused(length: int) -> None:
    """T12: wherever."""
    with pytest.raises(InvalidPackageError):
        facts(HONEST[:length])


OLD = made.old_kind(member("x", b"y" * 5000))


@given(st.integers(0, len(OLD) - 1))
def test_an_old_package_that_is_cut_off_is_refused(length: int) -> None:
    """T12: wherever."""
    with pytest.raises(InvalidPackageError):
        facts(OLD[:length], "tar.bz2")


@pytest.mark.parametrize("rest", [b"x", b"\0" * 512, b"PK\5\6", bz2.compress(b"more")])
def test_bytes_behind_an_old_package_are_refused(rest) -> None:
    """T12: some clients would unpack them."""
    refused(OLD + rest, "tar.bz2")


def test_bytes_behind_the_end_of_a_tar_are_refused() -> None:
    """T12: a second archive, which some readers go on with."""
    inner = made.tar(member("x", b"1")) + made.tar(member("y", b"2"))
    refused(made.conda(payload=made.zstd(inner)))


@given(
    st.lists(
        st.tuples(st.integers(0, len(HONEST) - 1), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_a_damaged_package_is_read_or_refused_and_never_crashes(damage) -> None:
    """Whatever bytes change: facts of the same package, or one kind of error."""
    data = bytearray(HONEST)
    for at, value in damage:
        data[at] = value
    try:
        found = facts(bytes(data))
    except InvalidPackageError:
        return
    assert (found.package, found.version) == ("tide", "1.0")


@given(st.lists(st.tuples(st.integers(0, 2047), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_tar_is_read_or_refused_and_never_crashes(damage) -> None:
    """The same behind the compression, where checksums do not help."""
    data = bytearray(made.tar(*made.info_members()))
    for at, value in damage:
        data[at % len(data)] = value
    try:
        found = facts(made.conda(made.zstd(bytes(data))))
    except InvalidPackageError:
        return
    assert (found.package, found.version) == ("tide", "1.0")


@given(st.binary(max_size=400))
def test_rubbish_is_refused(data: bytes) -> None:
    """Of both kinds."""
    for kind in ("conda", "tar.bz2"):
        with pytest.raises(InvalidPackageError):
            facts(data, kind)


def test_what_python_writes_is_what_is_read() -> None:
    """Members of tarfile in its three formats, names long and short."""
    names = ["a", "dir/" + "n" * 90, "d/" * 40 + "n" * 120, "ümlaut", "x" * 99]
    for format_ in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        chosen = names if format_ != tarfile.USTAR_FORMAT else [n for n in names if len(n) < 200]
        members = [member(name, name.encode()) for name in chosen]
        assert facts(made.with_payload(*members, format=format_)).package == "tide"


def test_limits_are_far_above_real_packages() -> None:
    """The defaults; tests use smaller ones."""
    assert LIMITS.members < 1000
    assert io.DEFAULT_BUFFER_SIZE
