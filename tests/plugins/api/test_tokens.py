"""``/api/v1/tokens``: a secret is told once, and a token only narrows."""

from __future__ import annotations

import json

import pytest


def test_a_token_is_made_used_and_revoked(house) -> None:
    """Its secret stands in the answer that made it, and nowhere else."""
    scope = [{"actions": ["read"], "pattern": "conan/main"}]
    answer = house.send("tokens", "POST", {"name": "ci", "scope": scope, "lifetime": 60}, "bob")
    made = json.loads(answer.body)
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    secret, token = made["secret"], made["token"]
    assert (token["account"], token["scope"], token["name"]) == ("bob", scope, "ci")
    assert token["expires_at"] is not None
    assert secret.startswith(token["begins"])
    listed = house.send("tokens", who="bob")
    assert secret not in listed.text
    assert json.loads(listed.body)["items"] == [token]
    assert house.ask("repositories/conan/main", HTTP_X_API_KEY=secret).status == 200
    refused = house.ask("repositories/conan/main", "PATCH", {}, HTTP_X_API_KEY=secret)
    assert refused.status == 403
    assert house.send(f"tokens/{token['id']}", "DELETE", who="bob").status == 204
    assert house.send(f"tokens/{token['id']}", "DELETE", who="bob").status == 204
    assert house.ask("repositories/conan/main", HTTP_X_API_KEY=secret).status == 401
    [left] = house.walk("tokens", who="bob")
    assert left["revoked_at"] is not None


def test_tokens_of_others_are_an_administrators(house) -> None:
    """To make, to list and to revoke."""
    made = house.value("tokens", "POST", {"name": "a", "account": "carl"})["token"]
    house.value("tokens", "POST", {"name": "b"})
    assert [one["account"] for one in house.walk("tokens?account=*&limit=1")] == ["carl", "ann"]
    assert [one["name"] for one in house.walk("tokens?account=carl", who="carl")] == ["a"]
    assert [one["name"] for one in house.walk("tokens")] == ["b"]
    for who in ("bob", None):
        status = 404 if who else 401
        assert house.send("tokens?account=carl", who=who).status == status
        assert house.send("tokens?account=*", who=who).status == status
        assert house.send(f"tokens/{made['id']}", "DELETE", who=who).status == status
        assert house.send("tokens", "POST", {"name": "x", "account": "carl"}, who).status == status
    assert house.send("tokens/x1", "DELETE").status == 404
    assert house.send("tokens/999", "DELETE").status == 404


def test_a_narrow_token_makes_no_wider_one(house) -> None:
    """What a token may not do, it cannot have another one do."""
    scope = [{"actions": ["read"], "pattern": "conan/main"}]
    secret = house.value("tokens", "POST", {"name": "n", "scope": scope})["secret"]
    for method, path, body in (
        ("POST", "tokens", {"name": "w"}),
        ("GET", "tokens", None),
        ("PUT", "accounts/ann/password", {"password": "mine now"}),
    ):
        assert house.ask(path, method, body, HTTP_X_API_KEY=secret).status in {403, 404}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": 1},
        {"name": "x", "lifetime": 0},
        {"name": "x", "lifetime": -5},
        {"name": "x", "lifetime": 10**17},
        {"name": "x", "lifetime": "1d"},
        {"name": "x", "scope": [{"actions": ["fly"], "pattern": "**"}]},
        {"name": "x", "scope": [{"actions": [], "pattern": "**"}]},
        {"name": "x", "scope": [{"actions": ["read"], "pattern": "a//b"}]},
        {"name": "x", "scope": [{"actions": ["read"], "pattern": "**", "effect": "deny"}]},
        {"name": "x", "scope": ["read"]},
        {"name": "x", "scope": "read"},
    ],
)
def test_mistakes_are_told(house, body) -> None:
    """And no token is made."""
    assert house.send("tokens", "POST", body).status == 422
    assert house.walk("tokens") == []
