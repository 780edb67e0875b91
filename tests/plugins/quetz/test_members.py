"""Members of channels and packages are bindings, and back."""

from __future__ import annotations

import pytest

from repocore.errors import RejectedError
from repocore.model import Binding
from repocore.plugins.quetz.server_roles import unbind

MEMBERS = "/api/channels/main/members"
PACKAGE = "/api/channels/main/packages/tide/members"


@pytest.fixture(autouse=True)
def _channel(quetz) -> None:
    quetz.channel("main", "mike")


def roles(quetz, path: str = MEMBERS, who: str = "mike") -> dict[str, str]:
    return {one["user"]["username"]: one["role"] for one in quetz.value(path, who=who)}


def test_a_role_is_given_changed_and_taken(quetz, tide) -> None:
    """And lets do with the next request what the role says, and no more."""
    for role, may in (("member", 403), ("maintainer", 201), ("owner", 201)):
        body = {"username": "nick", "role": role}
        assert quetz.value(MEMBERS, "POST", body, "mike") is None
        assert roles(quetz) == {"mike": "owner", "nick": role}
        assert quetz.upload("main", tide, "nick").status == may
    assert quetz.value(f"{MEMBERS}?username=nick", "DELETE", who="mike") is None
    assert roles(quetz) == {"mike": "owner"}
    assert quetz.refused(f"{MEMBERS}?username=nick", "DELETE", who="mike")[0] == 404
    assert quetz.refused(MEMBERS, "DELETE", who="mike")[0] == 422


def test_a_member_has_two_keys(quetz) -> None:
    """And a whole user in it."""
    [one] = quetz.value(MEMBERS, who="mike")
    assert set(one) == {"role", "user"}
    assert one["user"] == quetz.value("/api/users/mike")


def test_nobody_gives_more_than_they_may(quetz) -> None:
    """A maintainer manages nobody; somebody unknown is given nothing."""
    quetz.value(MEMBERS, "POST", {"username": "nick", "role": "maintainer"}, "mike")
    body = {"username": "nora", "role": "member"}
    assert quetz.refused(MEMBERS, "POST", body, "nick")[0] == 403
    assert quetz.refused(MEMBERS, "POST", {**body, "username": "zoe"}, "mike")[0] == 404
    for wrong in ({"role": "king"}, {"role": None}, {"username": 5}):
        assert quetz.refused(MEMBERS, "POST", {**body, **wrong}, "mike")[0] == 422


def test_a_package_has_members_of_its_own(quetz, tide, zlib) -> None:
    """Who upload this package and no other, and an owner lets others do so."""
    body = {"username": "nick", "role": "owner"}
    assert quetz.value(PACKAGE, "POST", body, "mike") is None
    assert quetz.refused(PACKAGE, "POST", body, "mike")[0] == 409
    assert roles(quetz, PACKAGE, "nick") == {"nick": "owner"}
    assert quetz.upload("main", tide, "nick").status == 201
    assert quetz.upload("main", zlib, "nick").status == 403
    quetz.value(PACKAGE, "POST", {"username": "nora", "role": "maintainer"}, "nick")
    assert quetz.refused(MEMBERS, who="nick")[0] == 403
    assert quetz.refused(PACKAGE, who="nora")[0] == 403
    path = f"/api/channels/main/packages/tide/versions/noarch/{tide.file}"
    assert quetz.value(path, "DELETE", who="nora") is None


def test_nobody_is_let_into_one_package(quetz) -> None:
    """A channel is read as a whole: 422 says what to do instead."""
    body = {"username": "nick", "role": "member"}
    status, detail = quetz.refused(PACKAGE, "POST", body, "mike")
    assert status == 422
    assert "member of the channel" in detail


def test_roles_of_the_settings_are_not_taken_here(quetz) -> None:
    """What stands in a file is taken out of it."""
    fixed = Binding(subject="user:nick", role="viewer", pattern="conda/main")
    with pytest.raises(RejectedError, match="stands in the settings"):
        unbind(quetz.admin, [fixed])
