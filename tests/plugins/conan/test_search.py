"""Search: what a pattern means, and what is told of packages."""

from __future__ import annotations

import fnmatch
import re
import time
from datetime import UTC, datetime

from conan_protocol import references
from hypothesis import example, given, strategies as st

from repocore import Release
from repocore.plugins.conan.references import ConanReference
from repocore.plugins.conan.search import (
    MOST_PATTERN,
    literal_prefix,
    packages,
    recipes,
    reference_matcher,
)

PATTERNS = st.text("azAZ019_+.-/@*?[]!^&|~\\ ", max_size=12)
CONAN1 = """\
[settings]
    os=Linux
    compiler.version=12

[options]
    shared=True

[full_requires]
    zlib/1.2:5ab8

[recipe_hash]
    05c8f0

[env]
"""


def fields(reference):
    return reference.name, reference.full_version


def meant(pattern, text, *, ignore_case):
    """The plain meaning, without a bound on the time."""
    flags = re.IGNORECASE if ignore_case else 0
    parts = [match.start() for match in re.finditer("[/@]", text)]
    ends = {*parts, *(at + 1 for at in parts), len(text)}
    return any(re.match(fnmatch.translate(pattern), text[:end], flags) for end in ends)


@given(references(), PATTERNS, st.booleans())
@example(ConanReference("zlib", "1.3"), "zli?", False)
@example(ConanReference("zlib", "1.3"), "[!a", True)
@example(ConanReference("zlib", "1.3"), "[]z]lib", True)
def test_a_pattern_means_a_part_that_ends_at_a_separator(reference, pattern, ignore_case):
    """A pattern means a reference if it matches one of the parts that its separators cut."""
    if pattern in {"", "*"}:
        return
    matches = reference_matcher(pattern, ignore_case=ignore_case)
    assert matches(*fields(reference)) == meant(pattern, str(reference), ignore_case=ignore_case)


@given(references(), st.data(), st.booleans())
def test_a_pattern_finds_what_it_was_made_from(reference, data, ignore_case):
    """Any cut of a reference with some characters made wild finds it."""
    text = data.draw(st.sampled_from([reference.name, f"{reference.name}/", str(reference)]))
    wild = data.draw(st.lists(st.sampled_from("*?="), min_size=len(text), max_size=len(text)))
    pattern = "".join(c if w == "=" else w for c, w in zip(text, wild, strict=True))
    assert reference_matcher(pattern, ignore_case=ignore_case)(*fields(reference))
    assert reference.name.casefold().startswith(literal_prefix(pattern).casefold())


@given(references(), PATTERNS, st.booleans())
def test_the_range_holds_all_that_matches(reference, pattern, ignore_case):
    """Every reference that a pattern means lies in the range that the catalog is asked for."""
    if reference_matcher(pattern, ignore_case=ignore_case)(*fields(reference)):
        assert reference.name.casefold().startswith(literal_prefix(pattern).casefold())


def test_a_hostile_pattern_takes_no_time():
    """The time grows with the lengths, not with the number of ways to match."""
    pattern = ("*a" * (MOST_PATTERN // 2))[: MOST_PATTERN - 1] + "b"
    matches = reference_matcher(pattern, ignore_case=True)
    before = time.process_time()
    for _ in range(100):
        assert not matches("a" * 101, "a" * 98 + "@_/_")
    assert time.process_time() - before < 2


def test_examples_of_the_reference():
    """The examples that the protocol's description gives."""
    found = [("zlib", "1.2@_/_"), ("zlib", "1.2@u/c"), ("Zlib", "1.2@u/_")]
    printed = ["zlib/1.2", "zlib/1.2@u/c", "Zlib/1.2@u"]
    for pattern in ("", "*", "zlib", "zlib/1.2", "zl*", "zlib/*", "z?ib", "[x-z]lib/1.2"):
        assert recipes(found, pattern, ignore_case=True) == printed
    assert recipes(found, "zli", ignore_case=True) == []
    assert recipes(found, "zlib", ignore_case=False) == printed[:2]
    assert recipes(found, "zlib/*@u", ignore_case=True) == printed[1:]
    assert recipes(found, "zlib/*@*/c", ignore_case=True) == printed[1:2]


def package(package_id, record):
    return Release(
        repository="conan/main",
        partition=f"zlib/1.3@_/_#r1:{package_id}",
        name="v1",
        package="zlib",
        version="1.3@_/_",
        parent="zlib/1.3@_/_#r1",
        record=record,
        serial=1,
        released_at=datetime.now(UTC),
    )


def test_packages_are_told_by_id():
    """The raw conaninfo.txt of each, or the bare ids; one without is told as empty."""
    found = [package("p2", b'{"conaninfo": "[settings]\\nos=Linux\\n"}'), package("p1", b"{}")]
    told = packages(found, names_only=False)
    assert told == {"p1": {"content": ""}, "p2": {"content": "[settings]\nos=Linux\n"}}
    assert list(told) == ["p1", "p2"]
    assert packages(found, names_only=True) == {"p1": {}, "p2": {}}


def test_packages_of_conan_1_are_told_in_fields_too():
    """What the Conan 1 client filters by stands beside the content."""
    record = ('{"conaninfo": "' + CONAN1.replace("\n", "\\n") + '"}').encode()
    assert packages([package("p1", record)], names_only=False) == {
        "p1": {
            "content": CONAN1,
            "settings": {"os": "Linux", "compiler.version": "12"},
            "options": {"shared": "True"},
            "full_requires": ["zlib/1.2:5ab8"],
            "recipe_hash": "05c8f0",
        }
    }
