"""Users and their server roles, with the keys and codes that clients of quetz expect."""

from __future__ import annotations

import uuid

import pytest

from repocore.model import Binding

USER = {"id", "username", "profile"}


def test_elevated_see_everybody_and_others_themselves(quetz) -> None:
    """Owners and maintainers of the server, and with a filter; strangers are asked to sign in."""
    for who in ("olga", "mara"):
        found = quetz.value("/api/users", who=who)
        assert [one["username"] for one in found] == ["mara", "mike", "nick", "nora", "olga"]
    for who in ("mike", "nora"):
        assert [one["username"] for one in quetz.value("/api/users", who=who)] == [who]
    assert [one["username"] for one in quetz.value("/api/users?q=NI")] == ["nick"]
    assert quetz.refused("/api/users", who=None) == (401, "Not logged in")
    assert "www-authenticate" in quetz.ask("/api/users", who=None).headers


def test_a_user_has_three_keys_and_one_identifier(quetz) -> None:
    """A UUID that is the same in every answer, and another when the name is given anew."""
    one = quetz.value("/api/users/nick")
    assert set(one) == USER
    assert set(one["profile"]) == {"name", "avatar_url"}
    assert str(uuid.UUID(one["id"])) == one["id"]
    assert quetz.value("/api/users/nick", who="nick") == one
    me = quetz.value("/api/me", who="nick")
    assert me == {**one["profile"], "user": {"id": one["id"], "username": "nick"}}
    quetz.value("/api/users/nick", "DELETE")
    quetz.admin.accounts.add("nick")
    assert quetz.value("/api/users/nick")["id"] != one["id"]


def test_pages_end(quetz) -> None:
    """Clients ask until a page is empty."""
    first = quetz.value("/api/paginated/users?limit=3&skip=0")
    assert set(first) == {"pagination", "result"}
    assert first["pagination"] == {"skip": 0, "limit": 3, "all_records_count": 5}
    assert len(first["result"]) == 3
    assert quetz.value("/api/paginated/users?limit=3&skip=6")["result"] == []
    assert len(quetz.value("/api/paginated/users?limit=-1")["result"]) == 5
    assert quetz.value("/api/paginated/users")["pagination"]["limit"] == 20
    assert quetz.refused("/api/paginated/users?limit=many")[0] == 422


def test_others_are_none_of_ones_business(quetz) -> None:
    """403, whether there is somebody of that name or not; 404 for whoever may know."""
    for name in ("nick", "nobody"):
        assert quetz.refused(f"/api/users/{name}") == (403, "No permission")
    assert quetz.refused("/api/users/nobody", who="olga") == (404, "User nobody not found")
    assert quetz.refused("/api/users/nick", "DELETE") == (403, "No permission")
    assert quetz.refused("/api/users/nick", "DELETE", who="mara")[0] == 403
    assert quetz.refused("/api/users/nobody", "DELETE", who="olga")[0] == 404


def test_server_roles_are_given_and_taken(quetz) -> None:
    """Each word is a binding, and the last one counts; null is none."""
    for role in ("owner", "maintainer", "member", None):
        assert quetz.value("/api/users/nick/role", "PUT", {"role": role}) is None
        assert quetz.value("/api/users/nick/role") == {"role": role}
        assert quetz.value("/api/users/nick/role", who="nick") == {"role": role}
    held = [one for one in quetz.admin.roles.bindings() if one.subject == "user:nick"]
    assert held == []


def test_server_roles_are_the_owners_to_give(quetz) -> None:
    """Not a maintainer's, nor one's own; and only the words that there are."""
    for who in ("mara", "mike", "nick"):
        assert quetz.refused("/api/users/nick/role", "PUT", {"role": "member"}, who)[0] == 403
    assert quetz.refused("/api/users/nick/role", "PUT", {"role": "member"}, None)[0] == 401
    for body in ({"role": "king"}, {"role": 1}, {}):
        assert quetz.refused("/api/users/nick/role", "PUT", body, "olga")[0] == 422
    assert quetz.refused("/api/users/nobody/role", "PUT", {"role": "member"}, "olga")[0] == 404


def test_a_role_given_twice_is_held_once(quetz) -> None:
    """And it stays when it is given again."""
    for _ in range(2):
        quetz.value("/api/users/nick/role", "PUT", {"role": "member"})
    assert quetz.value("/api/users/nick/role") == {"role": "member"}


def test_where_a_user_holds_roles(quetz) -> None:
    """Channels and packages, for oneself and for those who administer channels."""
    quetz.channel("main")
    admin = quetz.admin
    for role, pattern in (
        ("viewer", "conda/main"),
        ("maintainer", "conda/main/**"),
        ("editor", "conda/edge"),
        ("quetz-package-owner", "conda/main/tide"),
        ("viewer", "conan/main"),
        ("viewer", "conda/*"),
    ):
        admin.roles.bind(Binding(subject="user:nick", role=role, pattern=pattern))
    channels = [
        {"name": "edge", "role": "maintainer"},
        {"name": "main", "role": "maintainer"},
    ]
    for who in ("nick", "mara"):
        assert quetz.value("/api/users/nick/channels", who=who) == channels
        paged = quetz.value("/api/paginated/users/nick/channels", who=who)
        assert paged["result"] == channels
        packages = quetz.value("/api/users/nick/packages", who=who)
        assert packages == [{"name": "tide", "channel_name": "main", "role": "owner"}]
        assert quetz.value("/api/paginated/users/nick/packages", who=who)["result"] == packages
    assert quetz.refused("/api/users/nick/channels")[0] == 403


def test_who_leaves_takes_keys_along(quetz) -> None:
    """Also those that have roles, which are accounts of their own."""
    quetz.channel("main")
    quetz.admin.roles.bind(Binding(subject="user:nick", role="owner", pattern="conda/main"))
    body = {"description": "ci", "roles": [{"channel": "main", "role": "member"}]}
    secret = quetz.value("/api/api-keys", "POST", body, "nick")["key"]
    assert quetz.ask("/api/channels", who=None, HTTP_X_API_KEY=secret).status == 200
    quetz.value("/api/users/nick", "DELETE")
    assert quetz.ask("/api/channels", who=None, HTTP_X_API_KEY=secret).status == 401
    assert not [one for one in quetz.admin.accounts.list() if one.name.startswith("quetz-key-")]


@pytest.mark.parametrize("name", ["live", "ready"])
def test_health(quetz, name) -> None:
    """What probes for quetz look at."""
    told = quetz.value(f"/health/{name}", who=None)
    assert told == {"component": "http-server", "status": "ok"}
