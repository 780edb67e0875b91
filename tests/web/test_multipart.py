"""Multipart bodies, read as they arrive."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, strategies as st

from repocore import RejectedError, TooLargeError, TruncatedError
from repocore_web.multipart import read_parts

BOUNDARY = "----edge"


def body_of(*parts: tuple[str, str | None, bytes], end: bool = True) -> bytes:
    made = b""
    for name, filename, content in parts:
        field = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        made += (
            f"--{BOUNDARY}\r\nContent-Disposition: {field}\r\nX-File-SHA256: ab\r\n\r\n".encode()
            + content
            + b"\r\n"
        )
    return made + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def parts_of(body: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY}"):
    return read_parts({"CONTENT_TYPE": kind}, io.BytesIO(body))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=200)), max_size=5))
def test_parts_come_as_they_were_sent(sent: list[tuple[str, bytes]]) -> None:
    """Names and contents, whatever bytes there are in them."""
    body = body_of(*((name, "f.conda", content) for name, content in sent))
    assert [(part.name, part.read()) for part in parts_of(body)] == sent


def test_a_part_has_its_file_name_and_fields() -> None:
    """Field names are compared without case."""
    [part] = parts_of(body_of(("file", "a.conda", b"x")))
    assert part.filename == "a.conda"
    assert part.headers.get("x-file-sha256") == "ab"
    assert part.headers.get("x-other") is None


def test_a_part_that_nobody_reads_is_passed_over() -> None:
    """The next one is whole."""
    body = body_of(("a", "a", b"x" * 300_000), ("b", None, b"second"))
    names = [(part.name, part.read() if part.name == "b" else b"") for part in parts_of(body)]
    assert names == [("a", b""), ("b", b"second")]


def test_a_large_part_is_read_in_pieces() -> None:
    """No more of the body is taken than was asked for, and a little."""
    source = io.BytesIO(body_of(("a", "a", b"x" * 3_000_000)))
    parts = read_parts({"CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}"}, source)
    part = next(parts)
    assert part.read(1000) == b"x" * 1000
    assert source.tell() < 200_000


def test_a_body_that_ends_early_is_told() -> None:
    """Whether within a part or behind it."""
    whole = body_of(("a", "a", b"x" * 1000))
    for cut in (20, 500, len(whole) - 10):
        with pytest.raises(TruncatedError):
            [part.read() for part in parts_of(whole[:cut])]


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "multipart/mixed"])
def test_another_body_is_refused_with_a_sentence(kind: str) -> None:
    """Before any of it is read."""
    with pytest.raises(RejectedError, match="multipart/form-data"):
        list(parts_of(b"", kind))


def test_too_many_parts_are_refused() -> None:
    """Nobody sends a thousand files in one request."""
    body = body_of(*(("a", None, b"") for _ in range(1001)))
    with pytest.raises(TooLargeError):
        list(parts_of(body))


def test_endless_header_fields_are_refused() -> None:
    """They are held in memory, so there is a bound."""
    body = f"--{BOUNDARY}\r\nX: {'y' * 3_000_000}\r\n\r\n".encode()
    with pytest.raises(TooLargeError):
        list(parts_of(body))
