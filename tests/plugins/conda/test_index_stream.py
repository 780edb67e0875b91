"""An index is read entry by entry, as a reader of the whole would read it."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, strategies as st

from repocore.errors import RejectedError
from repocore.plugins.conda import index_stream
from repocore.plugins.conda.index_stream import read_entries

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.dictionaries(st.text(), VALUES, max_size=6)
INDEXES = st.fixed_dictionaries(
    {},
    optional={
        "packages": ENTRIES,
        "packages.conda": ENTRIES,
        "v3": st.dictionaries(st.sampled_from(["conda", "tar.bz2"]), ENTRIES),
        "info": VALUES,
        "removed": st.lists(st.text()),
        "signatures": ENTRIES,
    },
)


class Trickle:
    """Gives back no more than a few bytes at a time."""

    def __init__(self, content: bytes, most: int) -> None:
        self._stream = io.BytesIO(content)
        self._most = most

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._most))


def flat(index):
    for section, entries in index.items():
        if section in {"packages", "packages.conda"}:
            yield from ((section, key, value) for key, value in entries.items())
        if section == "removed":
            yield from ((section, key, None) for key in entries)
        if section == "v3":
            for kind, inner in entries.items():
                for key, value in inner.items():
                    yield f"v3.{kind}", f"{key}.{kind}", value


@given(INDEXES, st.sampled_from([None, 2]), st.integers(1, 50))
def test_it_reads_what_a_reader_of_the_whole_reads(index, indent, most) -> None:
    """In the order of the text, wherever the pieces that it comes in end."""
    text = json.dumps(index, indent=indent, ensure_ascii=most % 2 == 0)
    found = list(read_entries(Trickle(text.encode("utf-8", "surrogatepass"), most)))
    assert found == list(flat(index))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b'{"packages":[]}',
        b'{"packages":{"a":}}',
        b'{"packages":{"a":1,}}',
        b'{"packages":{"a":1}',
        b'{"packages":{"a":NaN}}',
        b'{"packages":{"a":{"b":1,"b":2}}}',
        b'{"packages":{"a":18446744073709551616}}',
        b'{"packages":{1:2}}',
        b'{"packages":{}} more',
        b'{"packages":{"a":"\xff"}}',
        b'{"packages":{"a":' + b"[" * 100_000 + b"}}",
    ],
)
def test_what_is_no_index_is_refused_in_a_sentence(text) -> None:
    """Never with another exception, and never as an index that is merely shorter."""
    with pytest.raises(RejectedError, match=r"^The index is not .*anew\.$"):
        list(read_entries(io.BytesIO(text)))


def test_an_entry_that_is_too_long_is_refused(monkeypatch) -> None:
    """So that memory has a bound whatever the text is."""
    monkeypatch.setattr(index_stream, "_LONGEST", 1000)
    text = b'{"packages":{"a":"' + b"x" * 5000
    with pytest.raises(RejectedError, match="too long"):
        list(read_entries(Trickle(text, 100)))


def test_only_a_window_is_in_memory(monkeypatch) -> None:
    """An entry is there before what follows it was read."""
    source = Trickle(json.dumps({"packages": {str(n): {} for n in range(10_000)}}).encode(), 4096)
    entries = read_entries(source)
    next(entries)
    assert source._stream.tell() == 4096
    assert len(list(entries)) == 9_999
