"""``user``, ``group``, ``token`` and ``rule``."""

from __future__ import annotations

import time

import pytest

from repocore import (
    ApiKey,
    NotAuthenticatedError,
    Password,
    TooManyAttemptsError,
    open_registry,
)


def test_account_signs_in_until_it_may_not(house):
    """A password works from stdin on, another replaces it, disabling and removing end it."""
    house("user", "add", "ann", "--password-stdin", "--group", "dev", typed="first\n")
    house("user", "password", "ann", "--password-stdin", typed="sec ond\n")
    with open_registry(house.data) as registry:
        assert registry.authenticate(Password("ann", "sec ond")).groups == {"dev"}
        with pytest.raises(NotAuthenticatedError):
            registry.authenticate(Password("ann", "first"))
        house("user", "disable", "ann")
        with pytest.raises(NotAuthenticatedError):
            registry.connect(Password("ann", "sec ond")).repositories.list()
        house("user", "enable", "ann")
        assert registry.connect(Password("ann", "sec ond")).principal.name == "ann"
    house("user", "remove", "ann")
    assert [account["name"] for account in house.json("user", "list")] == ["admin"]


def test_passwords_do_not_show(house):
    """No command prints a password, also not as JSON."""
    for words in (("user", "add", "ann"), ("user", "password", "ann")):
        assert "hush" not in house(*words, "--password-stdin", "--json", typed="hush\n").output
    assert "hush" not in house("user", "list", "--json").output


def test_prompt_asks_twice(house):
    """Without --password-stdin it asks, and asks again."""
    house("user", "add", "ann", typed="one\none\n")
    with open_registry(house.data) as registry:
        assert registry.authenticate(Password("ann", "one")).name == "ann"


def test_nobody_to_ask(house):
    """A script without a password is told the option, and makes no account."""
    told = house("user", "add", "ann", status=1).stderr.splitlines()[-1]
    assert told.endswith("pipe one to --password-stdin.")
    contradiction = ("user", "add", "ann", "--no-password", "--password-stdin")
    assert "exclude" in house.refused(*contradiction, status=2)["error"]
    assert [account["name"] for account in house.json("user", "list")] == ["admin"]


def test_groups(house):
    """Accounts join and leave; a group without members is not listed."""
    house("user", "add", "ann", "--no-password")
    house("group", "add", "dev", "ann", "admin")
    assert house.json("group", "list") == {"dev": ["admin", "ann"]}
    house("group", "remove", "dev", "ann", "admin")
    assert house.json("group", "list") == {}
    assert house.refused("group", "add", "dev", "nobody")["kind"] == "MissingError"


def test_what_is_not_there_is_named(house):
    """The account, or the group that it is not in."""
    house("user", "add", "ann", "--no-password")
    assert house.refused("token", "create", "nobody")["error"] == "There is no account nobody."
    told = house.refused("group", "remove", "dev", "ann")["error"]
    assert told == "ann is not in a group dev."


@pytest.mark.parametrize(
    ("subject", "pattern", "doubt"),
    [
        ("user:nobody", "conan/main/**", "no account nobody"),
        ("group:none", "conan/main/**", "a group none"),
        ("*", "cnan/main/**", "no format cnan; there are conan"),
        ("*", "conan/man/**", "no repository conan/man"),
        ("user:admin", "conan/main/**", ""),
        ("+", "conan/m*/**", ""),
        ("anonymous", "**", ""),
    ],
)
def test_rule_that_matches_nothing_is_doubted(house, subject, pattern, doubt):
    """It is stored, because it may come to match, and whoever mistyped it is told."""
    given = ("--subject", subject, "--actions", "read", "--pattern", pattern)
    told = house("rule", "add", *given).stderr
    assert (doubt in told) if doubt else "WARNING" not in told
    assert [rule["pattern"] for rule in house.json("rule", "list")].count(pattern) >= 1


def test_an_expired_token_is_marked(house):
    """It is listed until it is forgotten."""
    house("token", "create", "admin", "--name", "short", "--expires", "1s")
    house("token", "create", "admin", "--name", "long")
    time.sleep(1.1)
    lines = house("token", "list").stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["expired", "never"]


def test_a_token_for_what_is_not_there_is_doubted(house):
    """It is made: what it is for may come."""
    told = house("token", "create", "admin", "--allow", "read:conan/man/**").stderr
    assert "WARNING: there is no repository conan/man." in told


def test_token_is_scoped_shown_once_and_revoked(house):
    """The secret is all of stdout, works within its scope, and is dead when revoked."""
    words = ("token", "create", "admin", "--name", "ci", "--allow", "read,write:conan/main/**")
    secret = house(*words, "--expires", "90d").stdout.strip()
    assert secret.startswith("rpc-")
    (listed,) = house.json("token", "list", "admin")
    assert listed["name"] == "ci"
    assert listed["expires_at"] is not None
    assert secret not in house("token", "list").output
    with open_registry(house.data) as registry:
        scope = registry.authenticate(ApiKey(secret)).scope
        assert scope is not None
        assert [rule.pattern for rule in scope] == ["conan/main/**"]
        house("token", "revoke", str(listed["id"]))
        with pytest.raises(NotAuthenticatedError):
            registry.connect(ApiKey(secret)).repositories.list()


@pytest.mark.parametrize(
    "words",
    [
        ("--allow", "read"),
        ("--allow", "look:**"),
        ("--expires", "soon"),
        ("--expires", "-1d"),
        ("--expires", "0d"),
        ("--expires", "99999999d"),
    ],
)
def test_tokens_that_cannot_be(house, words):
    """A scope without a pattern, an unknown action, no length of time: each is told."""
    assert house.refused("token", "create", "admin", *words)["kind"] == "RejectedError"


def test_rules_are_listed_in_their_order(house):
    """A rule goes behind the others of its tier, or where it is told to."""
    words = ("--actions", "read", "--pattern", "conan/main/**")
    second = house.json("rule", "add", "--subject", "+", *words)
    first = house.json("rule", "add", "--subject", "anonymous", "--deny", "--position", "0", *words)
    listed = [rule["id"] for rule in house.json("rule", "list")]
    assert listed.index(first["id"]) < listed.index(second["id"])
    assert (first["effect"], first["tier"]) == ("deny", "site")
    house("rule", "remove", str(first["id"]))
    assert first["id"] not in [rule["id"] for rule in house.json("rule", "list")]


def test_rules_of_the_settings_are_listed(house):
    """Rules that cannot be removed here are shown, without a number."""
    text = '[[rule]]\nsubject = "+"\nactions = ["read"]\npattern = "**"\n'
    (house.data / "repocore.toml").write_text(text, encoding="utf-8")
    assert None in [rule["id"] for rule in house.json("rule", "list")]


def test_an_account_that_was_blocked_is_let_in_again(house) -> None:
    """After too many attempts that failed; one that is not there is refused."""
    house("user", "add", "ann", "--password-stdin", typed="right horse")
    with open_registry(data=house.data) as registry:
        for number in range(10):
            with pytest.raises(NotAuthenticatedError):
                registry.authenticate(Password("ann", f"x{number}"), source="192.0.2.1")
        with pytest.raises(TooManyAttemptsError):
            registry.authenticate(Password("ann", "right horse"), source="192.0.2.1")
        assert house("user", "unblock", "ann").stdout == "Unblocked ann.\n"
        registry.authenticate(Password("ann", "right horse"), source="192.0.2.1")
    assert house.refused("user", "unblock", "zoe")["kind"] == "MissingError"
