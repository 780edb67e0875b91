"""Encodings: one pass, the same text in each, and readable by whoever reads at once."""

from __future__ import annotations

import bz2
import threading
from contextlib import contextmanager

import pytest
import zstandard
from hypothesis import given, settings, strategies as st

from repocore.errors import StorageError
from repocore.model import FilePath
from repocore.plugins.conda.encodings import Spool, open_json, zstd
from repocore.plugins.conda.settings import CondaSettings
from repocore.testing.documents import MemoryOutput

PATH = FilePath.parse("noarch/repodata.json")
PIECE = b'"zlib-1.3-0.conda":{"name":"zlib","depends":["libc >=2"]},'


def encoded(pieces, **options):
    output = MemoryOutput()
    fill(output, pieces, **options)
    return output


def fill(output, pieces, **options):
    with open_json(output, PATH, CondaSettings(), **options) as write:
        for piece in pieces:
            write(piece)


def whole(output):
    plain = output.opened["noarch/repodata.json"]
    assert zstandard.decompress(output.opened["noarch/repodata.json.zst"]) == plain
    return plain


@given(st.lists(st.binary(max_size=50)))
def test_small_documents_are_the_same_in_all_encodings(pieces):
    """Readers that ask the frame for its size get it, of nothing too."""
    output = encoded(pieces, bzip2=True)
    assert whole(output) == b"".join(pieces)
    assert bz2.decompress(output.opened["noarch/repodata.json.bz2"]) == b"".join(pieces)


@settings(max_examples=5)
@given(st.lists(st.integers(1, 40_000), min_size=2, max_size=12))
def test_large_documents_are_the_same_however_they_are_cut(cuts):
    """Threads and blocks leave no trace in the bytes."""
    text = PIECE * sum(cuts)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(text[at : at + cut * len(PIECE)])
        at += len(pieces[-1])
    output, other = encoded(pieces), encoded([text])
    assert whole(output) == text
    assert output.opened == other.opened


def test_there_is_one_frame():
    """Readers stop at the end of the first."""
    content = encoded([PIECE * 50_000, PIECE]).opened["noarch/repodata.json.zst"]
    frame = zstandard.get_frame_parameters(content)
    assert frame.content_size == len(PIECE) * 50_001
    unused = zstandard.ZstdDecompressor().decompressobj()
    unused.decompress(content)
    assert unused.unused_data == b""


def test_bz2_is_made_only_if_it_is_wanted():
    """It takes longer than everything else."""
    assert set(encoded([b"{}"]).opened) == {"noarch/repodata.json", "noarch/repodata.json.zst"}


class Failing(MemoryOutput):
    """An output whose storage is full after the first block."""

    @contextmanager
    def open(self, path, media_type):
        with super().open(path, media_type) as writer:
            yield self
        del writer

    def write(self, chunk):
        raise StorageError


@pytest.mark.parametrize("times", [1, 100_000])
def test_a_failing_storage_is_told(times):
    """From whichever thread: the document is not made, and no thread is left behind."""
    before = threading.active_count()
    with pytest.raises(StorageError):
        fill(Failing(), [PIECE * times] * 3)
    assert threading.active_count() == before


def test_a_failing_reader_of_releases_leaves_no_document():
    """What was begun is given up."""
    output = MemoryOutput()
    with pytest.raises(ZeroDivisionError):
        fill(output, (PIECE * (1 // left) for left in (1, 0)))
    assert output.opened == {}


@given(st.lists(st.binary(max_size=20)))
def test_a_spool_gives_back_what_it_took(pieces):
    """In order, and once."""
    spool = Spool()
    for piece in pieces:
        spool.write(piece)
    assert b"".join(spool.blocks()) == b"".join(pieces)
    spool.close()


def test_a_small_file_is_one_frame_with_its_size():
    """As clients read it at once."""
    assert zstandard.decompress(zstd(PIECE, 3)) == PIECE
