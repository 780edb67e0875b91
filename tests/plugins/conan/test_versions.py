"""Versions: bytes in the order of the Conan 2 client."""

from __future__ import annotations

import pytest
from hypothesis import example, given, strategies as st

from repocore.plugins.conan.versions import version_key

NUMBERS = st.integers(0, 3000).map(str) | st.sampled_from(["0", "00", "007", "10", "9"])
WORDS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,3}", fullmatch=True)
ITEMS = st.lists(NUMBERS | WORDS | st.just(""), min_size=1, max_size=4).map(".".join)


def versions():
    """Versions whose words start with a letter: those that the client has an order of."""
    pre = st.one_of(st.just(""), ITEMS.map("-{}".format))
    build = st.one_of(st.just(""), ITEMS.map("+{}".format))
    return st.tuples(ITEMS, pre, build).map("".join)


def sign(first, second):
    return (first > second) - (first < second)


@given(versions(), versions())
@example("1.0", "1")
@example("1.0-", "1.0")
@example("1.0+", "1.0")
@example("1.0-rc.1", "1.0-rc.1+5")
def test_the_order_is_that_of_the_client(first, second):
    """Any two versions compare as the real client compares them."""
    version = pytest.importorskip("conan.internal.model.version").Version
    expected = sign(version(first), version(second))
    assert sign(version_key(first), version_key(second)) == expected


@given(st.lists(st.text("0123456789abZ_.+-", max_size=12), max_size=8))
def test_any_text_has_a_place(texts):
    """Versions that nobody should write are ordered too, and no two unlike ones shake."""
    assert sorted(texts, key=version_key) == sorted(texts, key=version_key)


def test_numbers_count_by_value():
    """The examples that everybody knows."""
    ordered = [
        "1.0-alpha",
        "1.0-rc.2",
        "1.0-rc.10",
        "1.0",
        "1.0+1",
        "1.2",
        "1.10",
        "1.10a",
        "2",
        "cci",
    ]
    assert sorted(set(ordered), key=version_key) == ordered


def test_user_and_channel_come_last():
    """Of one version, the one without a user goes first."""
    ordered = ["1.2@_/_", "1.2@a/_", "1.2@a/b", "1.2@ab/a", "1.10@_/_"]
    assert sorted(set(ordered), key=version_key) == ordered
