"""``role`` and ``access``: what people read and what programs get."""

from __future__ import annotations

import pytest


@pytest.fixture
def stocked(program):
    program("init")
    program("user", "add", "ann", "--password-stdin", typed="right")
    program("group", "add", "dev", "ann")
    return program


def test_a_role_is_given_and_taken_back(stocked) -> None:
    """To a group, on one repository; the list has it with its number."""
    told = stocked.json("role", "bind", "editor", "group:dev", "conan/main")
    assert told["role"] == "editor"
    listed = stocked("role", "bindings").stdout
    assert "group:dev" in listed
    assert "conan/main" in listed
    gone = stocked("role", "unbind", str(told["id"])).stdout
    assert gone == "group:dev no longer holds editor on conan/main.\n"
    assert stocked.json("role", "bindings") == []


def test_roles_are_listed_with_what_they_let_do(stocked) -> None:
    """Those that are always there, then one's own."""
    stocked("role", "add", "uploader", "--actions", "write,read", "--description", "Uploads.")
    names = [one["name"] for one in stocked.json("role", "list")]
    assert names == ["viewer", "editor", "maintainer", "owner", "uploader"]
    assert "read,write" in stocked("role", "list").stdout
    stocked("role", "remove", "uploader")
    assert stocked.refused("role", "remove", "viewer")["kind"] == "RejectedError"


def test_a_role_that_is_not_there_is_refused_with_those_that_are(stocked) -> None:
    """Somebody has mistyped it."""
    told = stocked.refused("role", "bind", "edtor", "user:ann")
    assert "there are editor, maintainer, owner, viewer" in told["error"]


def test_an_answer_names_what_decided(stocked) -> None:
    """For an account, for nobody, and for a name with groups of elsewhere."""
    stocked("role", "bind", "editor", "group:dev", "conan/main")
    said = stocked("access", "explain", "ann", "write", "conan/main/zlib").stdout
    assert said.startswith("allowed: group:dev holds editor on conan/main (binding ")
    said = stocked("access", "explain", "anonymous", "write", "conan/main").stdout
    assert said.startswith("denied")
    told = stocked.json("access", "explain", "zoe", "write", "conan/main", "--group", "dev")
    assert (told["allowed"], told["tier"]) == (True, "role")
    assert stocked.json("access", "explain", "ann", "admin", "site")["allowed"] is False


@pytest.mark.parametrize("words", [("fly", "conan/main"), ("read", "conan"), ("all", "site")])
def test_questions_that_cannot_be_answered(stocked, words) -> None:
    """An action that there is not, a place that is none, several at once."""
    stocked.refused("access", "explain", "ann", *words)


def test_who_may_is_a_table(stocked) -> None:
    """Everybody with what they may do and which tier decides."""
    stocked("role", "bind", "maintainer", "user:ann", "conan/main")
    [ann] = [one for one in stocked.json("access", "who", "conan/main") if one["name"] == "ann"]
    assert "delete" in ann["actions"]
    assert "WHO" in stocked("access", "who", "conan/main").stdout


def test_a_service_account_is_marked(stocked) -> None:
    """It is asked for no password."""
    stocked("user", "add", "robot", "--service")
    assert "service" in stocked("user", "list").stdout
    told = stocked.refused("user", "password", "robot", "--password-stdin")
    assert "no password" in told["error"]
    stocked("user", "add", "x", "--service", "--password-stdin", typed="a", status=2)


def test_rules_list_what_comes_with_roles(stocked) -> None:
    """In its tier, without a number of a rule."""
    stocked("role", "bind", "viewer", "user:ann")
    [row] = [one for one in stocked.json("rule", "list") if one["role"]]
    assert (row["tier"], row["role"]) == ("role", "viewer")
    assert "role viewer" in stocked("rule", "list").stdout


def test_what_is_not_there_is_said(stocked) -> None:
    """On stderr, where a role is bound or somebody is asked about; a name of another format is
    none of this one.
    """
    said = stocked("role", "bind", "viewer", "user:amm", "conda/nain").stderr
    assert "there is no account amm" in said
    assert "there is no repository conda/nain" in said
    said = stocked("access", "explain", "amm", "read", "conna/main").stderr
    assert "there is no account amm" in said
    assert "there is no format conna" in said
    assert stocked("access", "who", "conan/main").stderr == ""
    assert "there is no repository conda/other" in stocked("access", "who", "conda/other").stderr
    assert stocked("access", "explain", "ann", "admin", "site").stderr == ""
    assert stocked("role", "bind", "viewer", "group:dev").stderr == ""
