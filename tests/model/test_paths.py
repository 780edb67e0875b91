"""Paths: one spelling each."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from repocore import FilePath, InvalidPathError, check_segment

BAD = [
    "", ".", "..", "%2e%2e", "%252e%252e", "..%2f", "a%5cb", "a%00", "a/b", "a\\b", "a\0b", "a\rb",
    "a\nb", "a.", "a ", "C:", "c:x", "\uff0e\uff0e", "\u2024\u2024", "a\u202eb", "a\u200bb",
    "a\u2028b", "a\uff0fb", "\ud800", "x" * 256, "\u00e9" * 128, " ",
]  # fmt: skip


@pytest.mark.parametrize("segment", BAD)
def test_other_spellings_are_refused(segment: str) -> None:
    """Dot names, separators, control characters and their disguises are no names."""
    with pytest.raises(InvalidPathError):
        check_segment(segment)


@pytest.mark.parametrize("segment", ["gtk+", "a b.txt", ".hid", "100%", "ü", "_", "~x", "ab:c"])
def test_unusual_names_are_kept_as_they_are(segment: str) -> None:
    """What a protocol allows is accepted byte for byte."""
    assert check_segment(segment) == segment


@given(st.text(max_size=40))
@example("a/b")
@example("a//b")
def test_parsing_and_printing_are_inverse(text: str) -> None:
    """Whatever parses prints as it was."""
    try:
        path = FilePath.parse(text)
    except InvalidPathError:
        return
    assert str(path) == text
    assert FilePath.parse(str(path)) == path
    assert FilePath.parse(path) == path
    assert ".." not in path.parts
    assert not any(unicodedata.category(c) == "Cc" for c in text)


def test_a_path_has_a_bound_and_a_name() -> None:
    """Up to 1024 bytes, and the last segment is its name."""
    assert FilePath.parse("a/b/c").name == "c"
    with pytest.raises(InvalidPathError, match="1024"):
        FilePath.parse("/".join(["x" * 200] * 6))
    with pytest.raises(InvalidPathError):
        FilePath(())
