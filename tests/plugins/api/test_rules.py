"""``/api/v1/rules``: what is asked, in its order."""

from __future__ import annotations

import pytest


def rule(pattern: str, **more: object) -> dict[str, object]:
    return {"subject": "user:carl", "actions": ["read"], "pattern": pattern, **more}


def test_rules_are_added_listed_and_removed(house) -> None:
    """Behind the others or before them; in effect with the next request."""
    first = house.value("rules", "POST", rule("conan/main/a"))
    second = house.value("rules", "POST", rule("conan/main/b", position=0, effect="deny"))
    assert (first["effect"], first["tier"], second["effect"]) == ("allow", "site", "deny")
    assert house.walk("rules?limit=1") == [second, first]
    assert [one["address"] for one in house.walk("repositories", who="carl")] == ["conan/main"]
    assert house.send(f"rules/{first['id']}", "DELETE").status == 204
    assert house.walk("repositories", who="carl") == []
    assert house.send(f"rules/{first['id']}", "DELETE").status == 404
    assert house.send("rules/x", "DELETE").status == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "rules"), ("DELETE", "rules/1")])
def test_rules_are_an_administrators(house, method, path) -> None:
    """Not an owner's of a repository, and nobody's without a name."""
    house.value("rules", "POST", rule("conan/main"))
    for who, status in (("bob", 404), (None, 401)):
        assert house.send(path, method, who=who).status == status
        assert house.send("rules", "POST", rule("**"), who).status == status
    assert len(house.walk("rules")) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        rule("a//b"),
        rule("**", actions=[]),
        rule("**", actions=["all"]),
        rule("**", subject="carl"),
        rule("**", effect="maybe"),
        rule("**", tier="role"),
        rule("**", position=-1),
        rule("**", position=1 << 40),
        rule("**", colour="red"),
    ],
)
def test_mistakes_are_told(house, body) -> None:
    """And nothing is stored."""
    assert house.send("rules", "POST", body).status == 422
    assert house.walk("rules") == []
