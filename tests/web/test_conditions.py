"""Conditions and ranges, against the words of RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from repocore_web.conditions import UNSATISFIABLE, is_unchanged, wanted_part

TAG = '"' + "a" * 64 + '"'
MODIFIED = datetime(2026, 5, 4, 10, 20, 30, 999_000, tzinfo=UTC)
SECOND = "Mon, 04 May 2026 10:20:30 GMT"


def part(field, size=10, **more):
    return wanted_part({"REQUEST_METHOD": "GET", "HTTP_RANGE": field, **more}, TAG, size)


@given(st.integers(0, 50), st.integers(0, 60), st.one_of(st.none(), st.integers(0, 60)))
def test_first_and_last_byte(size, first, last):
    """A range is what slicing gives; one that slices nothing cannot be satisfied."""
    found = part(f"bytes={first}-{'' if last is None else last}", size)
    if last is not None and last < first:
        assert found is None
        return
    model = range(size)[first : None if last is None else last + 1]
    assert found == ((model[0], model[-1] + 1) if model else UNSATISFIABLE)


@given(st.integers(0, 50), st.integers(0, 60))
def test_suffix(size, length):
    """The last bytes are those that there are; none of them cannot be satisfied."""
    model = range(size)[-length:] if length else range(0)
    assert part(f"bytes=-{length}", size) == ((model[0], model[-1] + 1) if model else UNSATISFIABLE)


@pytest.mark.parametrize(
    "field",
    ["bytes=-", "bytes=a-b", "bytes 1-2", "items=0-1", "bytes=0-1,3-4", "bytes=1--2", "bytes=+1-2",
     "bytes=٣-٤", "", "bytes=" + "9" * 20 + "-", "bytes=0x1-",
     "bytes=" + ",".join(f"{n}-{n + 5}" for n in range(1000))],
)  # fmt: skip
def test_other_fields_mean_the_whole(field):
    """What is no single range of bytes is ignored."""
    assert part(field) is None


def test_unit_has_no_case():
    """Range units are compared without regard to case."""
    assert part("Bytes=1-2") == (1, 3)


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
def test_ranges_are_for_get(method):
    """Section 14.2: the field means nothing with another method."""
    assert part("bytes=1-2", REQUEST_METHOD=method) is None


@pytest.mark.parametrize(
    ("condition", "found"),
    [(TAG, (1, 3)), (f" {TAG} ", (1, 3)), (f"W/{TAG}", None), ('"other"', None), (SECOND, None),
     ("", None)],
)  # fmt: skip
def test_range_of_what_the_client_has_begun(condition, found):
    """A strong tag that matches lets the range through; anything weaker gets the whole."""
    assert part("bytes=1-2", HTTP_IF_RANGE=condition) == found


@pytest.mark.parametrize(
    ("tags", "same"),
    [(TAG, True), (f"W/{TAG}", True), (f'"x", {TAG}', True), ("*", True), ('"x"', False),
     ("", False), (TAG.strip('"'), False), (f'"{TAG}"', False)],
)  # fmt: skip
def test_tags_are_compared_weakly(tags, same):
    """One tag of a list that is ours, weak or strong, says that the client has the file."""
    assert is_unchanged({"HTTP_IF_NONE_MATCH": tags}, TAG, MODIFIED) is same


@pytest.mark.parametrize(
    ("since", "same"),
    [
        (SECOND, True),
        ("Mon, 04 May 2026 10:20:31 GMT", True),
        ("Mon, 04 May 2026 10:20:29 GMT", False),
        ("Monday, 04-May-26 10:20:30 GMT", True),
        ("yesterday", False),
        ("Mon, 04 May 99999999999999999999 10:20:30 GMT", False),
        ("x" * 5000, False),
    ],
)
def test_dates_count_in_seconds(since, same):
    """A date of the file's second or later says that the client has it; no date says nothing."""
    assert is_unchanged({"HTTP_IF_MODIFIED_SINCE": since}, TAG, MODIFIED) is same


def test_tags_go_before_dates():
    """Section 13.2.2: with tags, dates are not looked at."""
    environ = {"HTTP_IF_NONE_MATCH": '"x"', "HTTP_IF_MODIFIED_SINCE": SECOND}
    assert is_unchanged(environ, TAG, MODIFIED) is False


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_RANGE": "bytes=" + "0-1," * 100_000},
        {"HTTP_RANGE": "bytes=" + " " * 100_000 + "x"},
        {"HTTP_IF_NONE_MATCH": '"' * 100_000},
        {"HTTP_IF_NONE_MATCH": 'W/"x,' * 100_000},
        {"HTTP_IF_MODIFIED_SINCE": "1" * 100_000},
    ],
)
def test_long_fields_are_answered_like_short_ones(environ):
    """A field of a hundred thousand characters that means nothing is no condition and no range."""
    assert is_unchanged(environ, TAG, MODIFIED) is False
    assert wanted_part({"REQUEST_METHOD": "GET", **environ}, TAG, 10) is None
