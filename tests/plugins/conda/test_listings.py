"""``info/paths.json``: read entry by entry, and compared with what is there."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, strategies as st

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.listings import Listing, read_listing, read_small_listing
from repocore.plugins.conda.members import Contents
from repocore.plugins.conda.tars import Kind, TarMember

LIMITS = ArchiveLimits(members=100_000)
DIGEST = "ab" * 32
PATHS = st.lists(st.sampled_from(["a", "b", "é", "x y"]), min_size=1, max_size=3).map("/".join)
ENTRIES = st.fixed_dictionaries(
    {"_path": PATHS, "size_in_bytes": st.integers(0, 9)},
    optional={
        "path_type": st.sampled_from(["hardlink", "softlink", "directory"]),
        "file_mode": st.sampled_from(["text", "binary"]),
        "prefix_placeholder": st.text('/opt{}[]"\\', max_size=5),
        "sha256": st.just(DIGEST),
        "no_link": st.booleans(),
    },
)


def streamed(text: bytes, size: int = 1 << 16, limits: ArchiveLimits = LIMITS) -> Listing:
    return read_listing((text[at : at + size] for at in range(0, len(text), size)), limits)


def small(text: bytes) -> Listing:
    return read_small_listing(text, LIMITS)


def listing(*entries: object, **more: object) -> bytes:
    return json.dumps({"paths": entries, "paths_version": 1, **more}).encode()


@given(
    st.lists(ENTRIES, max_size=6), st.integers(1, 200), st.booleans(), st.sampled_from([None, 2])
)
def test_both_ways_of_reading_agree(entries, size, ascii_only, indent):
    """In chunks that cut anywhere, and at once."""
    text = json.dumps(
        {"paths_version": 1, "paths": entries}, ensure_ascii=ascii_only, indent=indent
    ).encode()
    assert streamed(text, size) == small(text)


@pytest.mark.parametrize("read", [streamed, small])
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b"{}x",
        b'{"paths": [}',
        b'{"paths": {}}',
        b'{"paths": [{}]}',
        b'{"paths": [[]]}',
        b'{"paths": [1]}',
        b'{"paths": [],}',
        b'{"paths": [{"_path": "a"},]}',
        b'{"paths": [{"_path": "a"} {"_path": "b"}]}',
        b'{"paths": [{"_path": "a", "_path": "b"}]}',
        b'{"paths": [], "paths": []}',
        b'{"paths": [], "paths_version": 2}',
        b'{"paths": [{"_path": "\xff"}]}',
        b'{"paths": [{"_path": "\\ud800"}]}',
        b'{"paths": [{"_path": "a", "size_in_bytes": NaN}]}',
        listing({"_path": 1}),
        listing({"_path": "../a"}),
        listing({"_path": "/a"}),
        listing({"_path": "a\\..\\b"}),
        listing({"_path": "conda-meta/x"}),
        listing({"_path": "a", "path_type": "pipe"}),
        listing({"_path": "a", "size_in_bytes": -1}),
        listing({"_path": "a", "size_in_bytes": 1.0}),
        listing({"_path": "a", "size_in_bytes": True}),
        listing({"_path": "a", "file_mode": "other"}),
        listing({"_path": "a", "sha256": "short"}),
    ],
    ids=range(29),
)
def test_other_listings_are_refused(read, text):
    """What is not JSON, or leads elsewhere, or has fields of other types."""
    with pytest.raises(InvalidPackageError, match=r"info/paths.json|may not hold"):
        read(text)


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_a_listing_that_is_cut_off_is_refused(size):
    """Wherever."""
    text = listing({"_path": "a", "size_in_bytes": 1}, {"_path": "b"})
    for cut in range(len(text)):
        with pytest.raises(InvalidPackageError):
            streamed(text[:cut], size)


def contents() -> Contents:
    found = Contents(LIMITS)
    found.add(TarMember("lib/a", Kind.FILE, 5, ""))
    found.add(TarMember("lib/l", Kind.SYMLINK, 0, "a"))
    found.add(TarMember("lib/h", Kind.HARD_LINK, 0, "lib/a"))
    return found


@pytest.mark.parametrize(
    "entry",
    [
        {"_path": "lib/a", "size_in_bytes": 5},
        {"_path": "lib/a"},
        {"_path": "lib/h", "size_in_bytes": 5},
        {"_path": "lib/l", "path_type": "softlink", "size_in_bytes": 5},
        {"_path": "lib/l", "size_in_bytes": 5},
        {"_path": "lib/missing", "path_type": "directory"},
    ],
)
def test_what_is_there_is_listed(entry):
    """Files of their size, links of whatever size they point to, folders that tar leaves out."""
    small(listing(entry)).compare(contents())


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"_path": "lib/b"}, "'lib/b', which is not in the package"),
        ({"_path": "lib/a", "size_in_bytes": 6}, "'lib/a' has 6 bytes and not 5"),
        ({"_path": "lib/m", "path_type": "softlink"}, "'lib/m', which is not in the package"),
    ],
)
def test_what_is_not_there_may_not_be_listed(entry, reason):
    """A client would fail on it when it installs."""
    with pytest.raises(InvalidPackageError, match=reason):
        small(listing(entry)).compare(contents())


@pytest.mark.parametrize(
    ("entry", "facts"),
    [
        ({"_path": "bin/x"}, set()),
        ({"_path": "bin/x", "prefix_placeholder": "/p", "file_mode": "binary"}, {"binary_prefix"}),
        ({"_path": "bin/x", "prefix_placeholder": "/p", "file_mode": "text"}, {"text_prefix"}),
        ({"_path": "bin/x", "prefix_placeholder": "/p"}, {"text_prefix"}),
        ({"_path": "etc/conda/activate.d/x.sh"}, {"activate.d"}),
        ({"_path": "etc/conda/deactivate.d/x.sh"}, {"deactivate.d"}),
        ({"_path": "bin/.tide-post-link.sh"}, {"post_link"}),
        ({"_path": "Scripts/.tide-pre-unlink.bat"}, {"pre_unlink"}),
        ({"_path": "bin/.tide-pre-link.sh"}, {"pre_link"}),
        ({"_path": "bin/.tide-post-unlink.sh"}, {"post_unlink"}),
        ({"_path": "bin/tide-post-link.sh"}, set()),
    ],
)
def test_paths_tell_what_a_client_will_run(entry, facts):
    """The truth values of channeldata (CEP 38)."""
    assert small(listing(entry)).facts == facts


def test_a_large_listing_is_never_whole_in_memory():
    """Nor are the entries, but for a place and a size of each."""
    path = b"lib/python3.12/site-packages/tide/f%07d.py"
    entry = b'{"_path": "' + path + b'", "size_in_bytes": 1, "sha256": "%b"}'
    count = 12_000

    def chunks():
        yield b'{"paths": ['
        for number in range(count):
            yield (b"," if number else b"") + entry % (number, DIGEST.encode())
        yield b'], "paths_version": 1}'

    tracemalloc.start()
    found = read_listing(chunks(), LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1500 << 10  # of a text of 1.8 MB
    with pytest.raises(InvalidPackageError, match="f0000000"):
        found.compare(Contents(LIMITS))
    with pytest.raises(InvalidPackageError, match="more than 10"):
        read_listing(chunks(), ArchiveLimits(members=10))


def test_an_entry_has_an_end():
    """One that is longer than what is looked at is refused, not gathered."""
    text = b'{"paths": [{"_path": "' + b"a" * 500_000 + b'"}]}'
    with pytest.raises(InvalidPackageError):
        streamed(text)
