"""Digests, checksums and keys."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given, strategies as st

from repocore import BlobKey, ChecksumMismatchError, Checksums, Digest, Hasher, InvalidPathError


@given(st.binary(max_size=300), st.integers(1, 64))
def test_hashing_on_the_way_is_hashing_the_whole(content: bytes, size: int) -> None:
    """Chunks of any size give the sums of the bytes, and the bytes."""
    hasher = Hasher({"sha1", "md5"})
    assert b"".join(hasher.through(io.BytesIO(content), size)) == content
    sums = hasher.checksums()
    for name in ("sha256", "sha1", "md5"):
        assert sums.get(name) == hashlib.new(name, content).hexdigest()
    sums.require([sums.digest, Digest("sha1", sums.sha1 or "")])


@given(st.binary(max_size=10))
def test_a_digest_prints_as_it_parses(content: bytes) -> None:
    """`algorithm:hex`, where a bare hex is a sha256."""
    value = hashlib.sha256(content).hexdigest()
    assert str(Digest.parse(value)) == f"sha256:{value}"
    assert Digest.parse(f"sha256:{value.upper()}") == Digest.parse(value)


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:zz", "sha512:" + "0" * 128, "sha1:" + "0" * 64]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    """Unknown algorithms and wrong lengths."""
    with pytest.raises(InvalidPathError):
        Digest.parse(text)


def test_another_checksum_is_a_mismatch() -> None:
    """Also one that was never computed."""
    sums = Checksums(sha256="0" * 64)
    for digest in (Digest("sha256", "1" * 64), Digest("md5", "0" * 32)):
        with pytest.raises(ChecksumMismatchError, match="send the file again"):
            sums.require([digest])
    assert sums.get("crc") is None


def test_keys_are_never_the_same() -> None:
    """Two writings of the same bytes have two keys, which parse as they print."""
    keys = {BlobKey.make("0" * 64) for _ in range(100)}
    assert len(keys) == 100
    assert {BlobKey.parse(str(key)) for key in keys} == keys
    assert BlobKey.parse("README") is None
