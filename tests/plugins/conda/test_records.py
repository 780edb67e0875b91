"""Records: what documents splice is what a parser would have read."""

from __future__ import annotations

import json

import msgpack
import pytest
from hypothesis import given, strategies as st

from repocore.model import Checksums
from repocore.plugins.conda.records import (
    SERVERS_FIELDS,
    Extra,
    canonical,
    pack_shard,
    record_of,
    splice_json,
    splice_shard,
)

SUMS = Checksums(sha256="ab" * 32, md5="cd" * 16)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4)
)
INDEXES = st.dictionaries(WORDS, VALUES, max_size=20)
TIMES = st.integers(0, 2**62)


@given(INDEXES, TIMES)
def test_a_spliced_record_is_the_record_and_its_stamp(index, released_at):
    """JSON with the stamp spliced in parses to the record with the stamp in milliseconds."""
    record = record_of(index, SUMS, 7)
    expected = {**record, "indexed_timestamp": released_at // 1000}
    assert json.loads(splice_json(canonical(record), released_at)) == expected


def test_a_stamp_is_spliced_into_an_empty_record():
    """An object without a field takes no comma."""
    assert splice_json(b"{}", 5_000) == b'{"indexed_timestamp":5}'


@given(INDEXES, TIMES, st.none() | st.dictionaries(WORDS, st.lists(WORDS)))
def test_a_spliced_shard_entry_is_the_record_and_its_stamp(index, released_at, run_exports):
    """msgpack with the stamp appended is one whole map, with digests as bytes."""
    record = record_of(index, SUMS, 7)
    expected = {
        **record,
        "sha256": b"\xab" * 32,
        "md5": b"\xcd" * 16,
        "indexed_timestamp": released_at // 1000,
    }
    if run_exports is not None:
        expected["run_exports"] = run_exports
    spliced = splice_shard(pack_shard(record, run_exports), released_at)
    assert msgpack.unpackb(spliced) == expected


@given(st.permutations(["a", "b", "c", "é"]), st.permutations(["x", "y"]))
def test_equal_records_are_equal_bytes(outer, inner):
    """Neither form depends on the order in which a package wrote its keys, at any depth."""
    value = [dict.fromkeys(inner, 1)]
    record = dict.fromkeys(outer, value)
    first = {key: [{"x": 1, "y": 1}] for key in ["a", "b", "c", "é"]}
    assert canonical(record) == canonical(first)
    assert pack_shard(record, {}) == pack_shard(first, {})


def test_a_shard_says_whether_run_exports_are_known():
    """None leaves the field out, an empty object says that there are none (CEP 21)."""
    unknown = msgpack.unpackb(splice_shard(pack_shard({"name": "a"}, None), 0))
    none = msgpack.unpackb(splice_shard(pack_shard({"name": "a"}, {}), 0))
    assert "run_exports" not in unknown
    assert none["run_exports"] == {}


def test_a_package_cannot_say_what_the_server_says():
    """No package sets its own place, time, size or digests."""
    index = {"name": "a", **dict.fromkeys(SERVERS_FIELDS, "invented")}
    assert record_of(index, SUMS, 7) == {
        "name": "a",
        "sha256": SUMS.sha256,
        "md5": SUMS.md5,
        "size": 7,
    }


def test_an_unknown_md5_is_left_out():
    """A digest that nobody computed is no field."""
    assert "md5" not in record_of({}, Checksums(sha256="ab" * 32), 7)


@given(st.binary(), st.binary(), st.binary())
def test_extra_bytes_come_back(shard, run_exports, channeldata):
    """What was packed is unpacked."""
    extra = Extra(shard, run_exports, channeldata)
    assert Extra.unpack(extra.pack()) == extra


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x90", b"\xc0", b"\x93\xc4", b"\x91\xc4\x00x"])
def test_other_bytes_are_no_extra(packed):
    """What `pack` did not write is a ValueError, not something half read."""
    with pytest.raises(ValueError, match="extra bytes of a conda package"):
        Extra.unpack(packed)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_has_no_word_for_is_refused(value):
    """Canonical text is JSON that every client reads."""
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        canonical([value])
