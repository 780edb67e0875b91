"""``/api/v1/accounts``, ``groups`` and ``me``: the room, over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from repocore import Rule, actions_of


def test_accounts_are_made_listed_and_deleted(house) -> None:
    """By an administrator; nothing that proves who they are is told."""
    body = {
        "name": "dora",
        "password": "of four words",
        "groups": ["crew"],
        "email": "d@one.example",
    }
    answer = house.send("accounts", "POST", body)
    made = json.loads(answer.body)
    assert answer.status == 201
    assert answer.headers["location"].endswith("/api/v1/accounts/dora")
    assert (made["groups"], made["email"], made["service"]) == (["crew"], "d@one.example", False)
    assert made in house.walk("accounts?limit=1")
    assert [one["name"] for one in house.walk("accounts?limit=2")] == ["ann", "bob", "carl", "dora"]
    assert house.problem(409, "accounts", "POST", body)["title"] == "Already exists"
    assert "words" not in house.send("accounts").text
    assert "argon2" not in house.send("accounts/dora").text
    assert house.send("accounts/dora", "DELETE").status == 204
    assert house.problem(404, "accounts/dora", "DELETE")["detail"] == "There is no account dora."


def test_a_machine_has_no_password(house) -> None:
    """It is made without one."""
    assert house.value("accounts", "POST", {"name": "builder", "service": True})["service"]
    body = {"name": "other", "service": True, "password": "x"}
    assert house.send("accounts", "POST", body).status == 422
    assert house.send("accounts/builder/password", "PUT", {"password": "x y"}).status == 422


def test_a_change_keeps_what_was_not_sent(house) -> None:
    """And may be for one state only."""
    house.value("accounts/bob", "PATCH", {"email": "b@one.example"})
    answer = house.send("accounts/bob", "PATCH", {"disabled": True})
    told = json.loads(answer.body)
    assert (told["email"], told["disabled"]) == ("b@one.example", True)
    assert house.send("me", who="bob").status == 401
    stale = house.send("accounts/bob", "PATCH", {"email": "x"}, HTTP_IF_MATCH='"x"')
    assert stale.status == 412
    tag = answer.headers["etag"]
    body = {"disabled": False, "email": None}
    told = json.loads(house.send("accounts/bob", "PATCH", body, HTTP_IF_MATCH=tag).body)
    assert (told["email"], told["disabled"]) == ("", False)
    assert house.send("me", who="bob").status == 200
    refused = house.problem(422, "accounts/bob", "PATCH", {"name": "x", "disabled": None})
    assert len(refused["errors"]) == 2


def test_passwords_are_set(house) -> None:
    """One's own by oneself, others' by an administrator; by nobody else."""
    new = {"password": "of other words"}
    assert house.send("accounts/bob/password", "PUT", new, "bob").status == 204
    assert house.send("me", who="bob").status == 401
    assert house.send("accounts/bob/password", "PUT", {"password": "right"}).status == 204
    assert house.send("me", who="bob").status == 200
    assert house.send("accounts/ann/password", "PUT", new, "bob").status in {403, 404}
    assert house.send("accounts/ann/password", "PUT", {}, "ann").status == 422


def test_everybody_looks_at_their_own(house) -> None:
    """And at nobody else's."""
    assert house.value("accounts/carl", who="carl")["name"] == "carl"
    for path in ("accounts/ann", "accounts/none", "accounts", "groups"):
        assert house.send(path, who="carl").status == 404
        assert house.send(path, who=None).status == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "accounts", {"name": "x"}),
        ("PATCH", "accounts/carl", {"disabled": False}),
        ("DELETE", "accounts/carl", None),
        ("PUT", "groups/crew/members/carl", None),
        ("DELETE", "groups/crew/members/carl", None),
    ],
)
def test_nobody_administers_themselves(house, method, path, body) -> None:
    """What is an administrator's is so for one's own account, too."""
    assert house.send(path, method, body, "carl").status in {403, 404}
    assert house.send(path, method, body, None).status == 401
    assert not house.admin.accounts.get("carl").groups


def test_groups_have_members(house) -> None:
    """Put in and taken out one by one; a group without any is none."""
    for name in ("bob", "carl"):
        assert house.send(f"groups/crew/members/{name}", "PUT").status == 204
    house.admin.accounts.add_to_group("alpha", "bob")
    assert house.walk("groups?limit=1") == [
        {"name": "alpha", "members": ["bob"]},
        {"name": "crew", "members": ["bob", "carl"]},
    ]
    assert house.send("groups/crew/members/bob", "DELETE").status == 204
    assert house.send("groups/crew/members/bob", "DELETE").status == 404
    assert house.send("groups/crew/members/nobody", "PUT").status == 404


def test_one_is_told_who_one_is(house) -> None:
    """By name, by what proved it, and by what a token narrows it to."""
    assert house.value("me", who=None)["name"] is None
    told = house.value("me")
    assert (told["name"], told["via"], told["administrator"]) == ("ann", "password", True)
    assert (told["scope"], told["token_id"]) == (None, None)
    scope = [Rule(subject="*", actions=actions_of(["read"]), pattern="conan/main")]
    token, secret = house.admin.accounts.create_token(
        "ann", "t", rules=scope, lifetime=timedelta(hours=1)
    )
    narrow = json.loads(house.ask("me", HTTP_X_API_KEY=secret).body)
    assert (narrow["administrator"], narrow["token_id"]) == (False, token.id)
    assert narrow["scope"] == [{"actions": ["read"], "pattern": "conan/main"}]
