"""Versions: bytes in the order of conda."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given, strategies as st

from repocore.plugins.conda.versions import is_version, version_key

NUMBERS = st.integers(0, 12).map(str) | st.sampled_from(["00", "007", "10", "20261121"])
WORDS = st.sampled_from(["a", "b", "rc", "dev", "post", "alpha", "DEV", "Post", "z"])
COMPONENTS = st.lists(NUMBERS | WORDS, min_size=1, max_size=4).map("".join)
TEXTS = st.text("019abdevpostA._+!-*é", max_size=10)


@st.composite
def lists(draw):
    """Components between dots and underscores."""
    components = draw(st.lists(COMPONENTS, min_size=1, max_size=5))
    text = components[0]
    for component in components[1:]:
        text += draw(st.sampled_from("..._")) + component
    return text


def versions():
    """Versions with and without an epoch, a local part, an underscore at the end."""
    epoch = st.sampled_from(["", "", "0!", "1!"])
    # Of a word and then an underscore at the end the two clients that we know disagree.
    main = lists() | lists().filter(lambda text: text[-1].isdigit()).map("{}_".format)
    return st.tuples(epoch, main, st.just("") | lists().map("+{}".format)).map("".join)


def sign(first, second):
    return (first > second) - (first < second)


@given(versions(), versions())
@example("1.0", "1")
@example("1.0.a", "1")
@example("1.0.0.a", "1.0.a")
@example("1.0.0.1", "1.0.1")
@example("1.0post", "1.0.post")
@example("1.0_", "1.0a")
def test_the_order_is_that_of_a_client(first, second):
    """Any two versions compare as a real client compares them."""
    assume(is_version(first))
    assume(is_version(second))
    version = pytest.importorskip("rattler").Version
    expected = sign(version(first), version(second))
    assert sign(version_key(first), version_key(second)) == expected


@given(versions())
def test_the_case_of_letters_does_not_count(version):
    """1.0RC1 is 1.0rc1."""
    assert version_key(version.upper()) == version_key(version.lower())


@given(TEXTS)
def test_a_version_is_what_a_client_reads(text):
    """Nothing passes that a client could not read in an index, however long the index."""
    assume("-" not in text)  # an older spelling, which no file name can have
    version = pytest.importorskip("rattler").Version
    try:
        version(text)
    except Exception:  # noqa: BLE001 - what it raises is its own business
        assert not is_version(text)
    else:
        # Clients in Python read no underscore at the end of a local part.
        assert is_version(text) or text.endswith("_")


def test_the_examples_that_everybody_knows():
    """The list of CEP 33, and what openssl does."""
    ordered = [
        "0.4",
        "0.4.1.rc",
        "0.4.1",
        "0.5a1",
        "0.5b3",
        "0.5c1",
        "0.5",
        "0.9.6",
        "0.960923",
        "1.0",
        "1.1dev1",
        "1.1_",
        "1.1a1",
        "1.1.0dev1",
        "1.1.a1",
        "1.1.0rc1",
        "1.1.0",
        "1.1.0post1",
        "1.1post1",
        "1996.07.12",
        "1!0.4.1",
        "1!3.1.1.6",
        "2!0.4.1",
    ]
    assert sorted(sorted(ordered), key=version_key) == ordered


@pytest.mark.parametrize(
    ("first", "second"),
    [("1.1", "1.1.0"), ("0.4", "0.4.0.0"), ("1.1.post", "1.1.post0"), ("1.1+0", "1.1")],
)
def test_zeros_at_the_end_do_not_count(first, second):
    """Equal versions have equal keys."""
    assert version_key(first) == version_key(second)


@given(TEXTS, versions())
def test_any_text_has_a_place(first, second):
    """What is no version goes before all that are."""
    assume(not is_version(first))
    assert version_key(first) < version_key(second)


@pytest.mark.parametrize(
    "text", ["1" * 100_000, "1_" * 100_000, "0." * 100_000 + "1", "a" * 99_999 + "!"]
)
def test_long_texts_are_no_work(text):
    """The work is in proportion to the length, and ends."""
    assert version_key(text)
    assert is_version(text) == (text[:2] in {"1_", "0."})


@pytest.mark.parametrize("digits", [str(2**64), "9" * 5000])
def test_numbers_of_more_than_64_bits_are_not_read(digits):
    """A client that counts with 64 bits fails on a whole index for one of them."""
    assert not is_version(f"1.{digits}")
    assert is_version(f"1.{2**64 - 1}")
