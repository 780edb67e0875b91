"""Permission lines decide here what they decide in the servers that they were written for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given, strategies as st
from old_conan import CONAN_1, SERVER_2, kept, wanted

from repocore import Action, Principal, Resource
from repocore.model.decisions import decide
from repocore.plugins.conan import server_conf

ORACLE = Path(__file__).parents[2] / "support" / "permission_oracle.py"
WRITES = (Action.WRITE, Action.OVERWRITE, Action.DELETE)
NAMES = ("zlib", "Zlib", "zlib-ng", "a+b")
VERSIONS = ("1.0", "1.1", "cci.2024")
PLACES = (None, ("acme", "stable"), ("acme", "testing"), ("ann", "stable"))
USERS = (None, "ann", "bob", "acme", "Ann", "*", "?")

Lines = list[tuple[str, str]]
Fields = tuple[str, str, str | None, str | None]


@attrs.frozen
class Oracle:
    """The original's authorizer, in a process of its own; `one` means the server of Conan 1."""

    process: subprocess.Popen[str]
    one: bool

    def decide(self, lines: Lines, user: str | None, fields: Fields) -> str:
        asked = {"lines": lines, "user": user, "reference": fields}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


# Both are installed for this alone: `nox -s clients` does.
REAL = [pytest.mark.slow, pytest.mark.clients]


@pytest.fixture(
    scope="module",
    params=[pytest.param(CONAN_1, marks=REAL), pytest.param(SERVER_2, marks=REAL)],
)
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    process = subprocess.Popen(
        [str(wanted(request.param)), str(ORACLE)],
        env=kept(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Oracle(process, request.param == CONAN_1)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


# ------------------------------------------------------------------------------- strategies


def references() -> st.SearchStrategy[Fields]:
    """References as clients ask for them, with user and channel or with neither."""
    return st.tuples(
        st.sampled_from(NAMES), st.sampled_from(VERSIONS), st.sampled_from(PLACES)
    ).map(lambda drawn: (drawn[0], drawn[1], *(drawn[2] or (None, None))))


def patterns() -> st.SearchStrategy[str]:
    """Patterns as people write them: fields that are exact or exactly a star."""
    field = st.sampled_from
    places = st.one_of(
        st.just(""),
        st.sampled_from(("@", "@_/_")),
        st.builds("@{}/{}".format, field(("*", "acme", "ann")), field(("*", "stable", "testing"))),
    )
    return st.builds("{}/{}{}".format, field(("*", *NAMES)), field(("*", *VERSIONS)), places)


def users() -> st.SearchStrategy[str]:
    """User lists: stars and question marks in any place, spaces, names twice, no name at all."""
    name = st.sampled_from(("ann", "bob", "acme", "Ann", "*", "?", "ann bob", ""))
    return st.lists(name, min_size=1, max_size=4).flatmap(
        lambda names: st.sampled_from((",", ", ", " ,  ")).map(lambda comma: comma.join(names))
    )


def lines() -> st.SearchStrategy[Lines]:
    return st.lists(st.tuples(patterns(), users()), max_size=5)


# ------------------------------------------------------------------------------------ tests


def ours(lines: Lines, user: str | None, fields: Fields, action: Action) -> str:
    """What our rules say; having no opinion denies."""
    read, write = (lines, []) if action is Action.READ else ([], lines)
    rules = server_conf.rules_of(tuple(read), tuple(write))
    name, version, *place = fields
    where = "/".join(part or "_" for part in place)
    resource = Resource("conan", "main", name, f"{version}@{where}")
    principal = Principal(name=user, via="test")
    return "allow" if decide(rules, principal, action, resource) else "deny"


def as_the_second(lines: Lines) -> Lines:
    """Lines for a server of Conan 2, whose data endpoints say _ where there is no user.

    An intended difference: here a pattern without user and channel, with @ and without, is one.
    """
    return [
        (pattern if pattern.partition("@")[2] else f"{pattern.removesuffix('@')}@_/_", users)
        for pattern, users in lines
    ]


@given(lines=lines(), user=st.sampled_from(USERS), fields=references())
def test_lines_decide_as_in_the_original(oracle, lines, user, fields):
    """The first line that matches decides, by the same meaning of stars, marks and lists."""
    asked = lines if oracle.one else as_the_second(lines)
    expected = oracle.decide(asked, user, fields)
    assert {action: ours(lines, user, fields, action) for action in (Action.READ, *WRITES)} == (
        dict.fromkeys((Action.READ, *WRITES), expected)
    )


@given(lines=lines(), user=st.sampled_from(USERS), fields=references())
def test_lines_of_reading_say_nothing_about_writing(lines, user, fields):
    """Without a line of its section, an action is nobody's; so it is in the original."""
    rules = server_conf.rules_of(tuple(lines), ())
    resource = Resource("conan", "main", fields[0], f"{fields[1]}@_/_")
    for action in WRITES:
        assert decide(rules, Principal(name=user, via="test"), action, resource) is None


#: Where we mean to differ: (lines, user, reference, original of Conan 1, of Conan 2, ours, why).
DIFFERENT = {
    "a version is its text": (
        [("zlib/1.0@*/*", "ann")],
        "ann",
        ("zlib", "1.0.0", "acme", "stable"),
        ("allow", "allow", "deny"),
    ),
    "part of a field is no pattern, and breaks no other line": (
        [("zl*/*@*/*", "bob"), ("*/*@*/*", "ann")],
        "ann",
        ("zlib", "1.0", "acme", "stable"),
        ("invalid", "allow", "allow"),
    ),
    "a name may have one letter": (
        [("z/1.0@acme/stable", "ann")],
        "ann",
        ("zlib", "1.0", "acme", "stable"),
        ("invalid", "deny", "deny"),
    ),
    "a user without a channel is a reference": (
        [("zlib/1.0@acme", "bob"), ("*/*@*/*", "ann")],
        "ann",
        ("zlib", "1.0", "acme", "stable"),
        ("invalid", "allow", "allow"),
    ),
    "no user is no user, with @ and without": (
        [("zlib/1.0", "ann")],
        "ann",
        ("zlib", "1.0", None, None),
        ("allow", "deny", "allow"),
    ),
}


@pytest.mark.parametrize("why", DIFFERENT)
def test_intended_differences(oracle, why):
    """Where we differ, both sides are what this table says: it can neither rot nor grow unseen."""
    lines, user, fields, (first, second, here) = DIFFERENT[why]
    assert oracle.decide(lines, user, fields) == (first if oracle.one else second)
    assert ours(lines, user, fields, Action.READ) == here


@given(user=st.sampled_from(USERS), fields=references())
def test_only_lines_grant(user, fields):
    """Intended, too: whoever's name is in a reference, nothing follows from it without a line."""
    for action in (Action.READ, *WRITES):
        assert ours([], user, fields, action) == "deny"
