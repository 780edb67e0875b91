"""References: one spelling each, and nothing else parses."""

from __future__ import annotations

import pytest
from conan_protocol import ids, names, references
from hypothesis import given, strategies as st

from repocore import InvalidPathError
from repocore.plugins.conan.references import ConanReference, PackageReference, check_id


@given(references())
def test_a_printed_reference_parses_to_itself(reference):
    """Printing a reference and parsing the text gives it back."""
    assert ConanReference.parse(str(reference)) == reference
    assert ConanReference.parse(reference.partition) == reference


@given(references(), ids(), ids())
def test_a_printed_package_reference_parses_to_itself(recipe, rrev, package_id):
    """The same holds for packages."""
    package = PackageReference(recipe, rrev, package_id)
    assert PackageReference.parse(str(package)) == package
    assert PackageReference.parse(package.partition) == package


@given(st.text(alphabet="ab1_./@+-# ", max_size=20))
def test_whatever_parses_prints_its_shortest_form(text):
    """A text either is a reference or is refused; there is no third way."""
    try:
        reference = ConanReference.parse(text)
    except InvalidPathError:
        return
    assert ConanReference.parse(str(reference)) == reference
    assert reference.partition.startswith(str(reference))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("zlib/1.3", "zlib/1.3"),
        ("zlib/1.3@", "zlib/1.3"),
        ("zlib/1.3@_/_", "zlib/1.3"),
        ("pkg/1.0@acme", "pkg/1.0@acme"),
        ("pkg/1.0@acme/_", "pkg/1.0@acme"),
        ("Pkg/1.0+b.1@Acme/stable-1", "Pkg/1.0+b.1@Acme/stable-1"),
    ],
)
def test_a_missing_user_or_channel_is_not_printed(text, printed):
    """``_`` stands for what is not there, and stays out of sight."""
    assert str(ConanReference.parse(text)) == printed


@given(
    names(), st.sampled_from(["", ".", "..", ".a", "a.", "-a", "a b", "a/b", "a%2fb", "ä", "a:b"])
)
def test_a_name_outside_the_alphabet_is_refused(good, bad):
    """Each of the four fields is held to the alphabet of the clients."""
    for fields in ((bad, good), (good, bad), (good, good, bad), (good, good, "user", bad)):
        with pytest.raises(InvalidPathError):
            ConanReference(*fields)


def test_lengths_are_bounded():
    """A field has up to 101 characters, a printed reference 200."""
    longest = "a" * 101
    assert str(ConanReference(longest, "1" * 98)) == f"{longest}/{'1' * 98}"
    with pytest.raises(InvalidPathError):
        ConanReference(longest + "a", "1.0")
    with pytest.raises(InvalidPathError, match="200"):
        ConanReference(longest, "1" * 99)


def test_a_channel_needs_a_user():
    """No client can write a channel without a user."""
    with pytest.raises(InvalidPathError, match="has a user"):
        ConanReference("zlib", "1.3", "_", "stable")


@pytest.mark.parametrize("text", ["", "a.b", "a/b", "é", "a" * 65, "a\n", " "])
def test_an_id_is_one_short_word(text):
    """Revisions and package ids are opaque words."""
    with pytest.raises(InvalidPathError):
        check_id("recipe revision", text)
