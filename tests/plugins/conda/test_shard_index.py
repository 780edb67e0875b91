"""The index of shards: changed in place, it is what it would be if it were written anew."""

from __future__ import annotations

import hashlib

import msgpack
import pytest
import zstandard
from hypothesis import example, given, strategies as st

from repocore.plugins.conda.shard_index import ShardIndex

MARK = b"\xc4\x20"
NAMES = st.text("ab-z.0", min_size=1, max_size=4) | st.text("ab", min_size=30, max_size=60)
#: Digests with announcements and entries inside, as bytes of a hash could have them.
TRAPS = st.lists(st.sampled_from([MARK, b"\xa1a", b"\xa1b" + MARK, b"a", b"\xd9\x20", b"\x00"]))
DIGESTS = st.builds(lambda parts: (b"".join(parts) + bytes(32))[:32], TRAPS) | st.binary(
    min_size=32, max_size=32
)
ENTRIES = st.dictionaries(NAMES, DIGESTS, max_size=60)


def shown(index: ShardIndex) -> dict[str, bytes]:
    document = msgpack.unpackb(zstandard.decompress(index.write({"subdir": "noarch"})))
    assert document["version"] == 1
    assert document["info"] == {"subdir": "noarch"}
    assert list(document["shards"]) == sorted(document["shards"])
    return document["shards"]


@given(ENTRIES, st.dictionaries(NAMES, st.none() | DIGESTS, max_size=20))
@example({f"a{n}": (MARK * 16) for n in range(60)}, {"a30": None, "a299": bytes(32)})
def test_a_changed_index_is_a_new_one(entries, edits):
    """Names come, change and go; whatever stands in digests, no other entry is touched."""
    wanted = {**entries, **edits}
    wanted = {name: digest for name, digest in wanted.items() if digest is not None}
    changed = ShardIndex.of(entries).changed(edits)
    assert changed == ShardIndex.of(wanted)
    assert shown(changed) == wanted


@given(ENTRIES, NAMES)
@example({f"a{n}": (MARK * 16) for n in range(60)}, "a30")
def test_a_digest_is_found_by_its_name(entries, name):
    """Every name that is there, and no other."""
    index = ShardIndex.of(entries)
    for there, digest in entries.items():
        assert index.get(there) == digest
        assert index.has(digest)
    assert index.get(name) == entries.get(name)
    assert index.digests() == [entries[there] for there in sorted(entries)]


@given(ENTRIES)
def test_an_index_is_read_as_it_was_written(entries):
    """What `write` made, `read` gives back."""
    index = ShardIndex.of(entries)
    info = {"subdir": "noarch", "base_url": "x" * 100}
    assert ShardIndex.read(index.write(info)) == (index, info)


def test_a_large_index_is_searched_by_halving():
    """Thousands of entries, some of which hide announcements, with names of every length."""
    names = [f"p{n}{'x' * (n % 50)}" for n in range(5000)]
    entries = {n: hashlib.sha256(n.encode()).digest() for n in names}
    for place, name in enumerate(names):
        if place % 7 == 0:
            entries[name] = entries[name][:9] + MARK + entries[name][11:]
    index = ShardIndex.of(entries)
    edits = {names[3]: None, names[4999]: bytes(32), "new": bytes(32), "a": bytes(32)}
    assert all(index.get(name) == entries[name] for name in names[::97])
    wanted = {**entries, **edits}
    del wanted[names[3]]
    assert shown(index.changed(edits)) == wanted


@pytest.mark.parametrize("name", ["", "é", "a" * 256])
def test_a_name_that_no_package_has_is_refused(name):
    """Only ASCII, and not too long: searching relies on it."""
    with pytest.raises(ValueError, match=r"ascii|characters"):
        ShardIndex.of({name: bytes(32)})
