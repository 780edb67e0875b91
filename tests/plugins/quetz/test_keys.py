"""API keys: shown once, listed by their beginning, and good for what their roles say."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from repocore.model import Action, Binding, Resource

KEYS = "/api/api-keys"
KEY = {"key", "description", "time_created", "expire_at", "roles"}


@pytest.fixture(autouse=True)
def _channel(quetz) -> None:
    """Mike owns main, Nick maintains it."""
    quetz.channel("main", "mike", private=True)
    quetz.admin.roles.bind(Binding(subject="user:nick", role="maintainer", pattern="conda/main"))


def make(quetz, who: str = "mike", *roles: tuple[str, ...], **more) -> dict:
    given = [
        dict(zip(("role", "channel", "package"), (*role, None), strict=False)) for role in roles
    ]
    return quetz.value(KEYS, "POST", {"description": "ci", "roles": given, **more}, who)


def status(quetz, secret: str, path: str = "/api/channels/main", method="GET", body=None) -> int:
    return quetz.ask(path, method, body, None, HTTP_X_API_KEY=secret).status


def test_a_key_without_roles_is_its_maker(quetz) -> None:
    """With all that they may do; it is shown with the answer, and only its beginning later."""
    made = make(quetz)
    assert set(made) == KEY
    assert (made["roles"], made["expire_at"], made["description"]) == (None, None, "ci")
    assert status(quetz, made["key"]) == 200
    assert status(quetz, made["key"], "/api/channels", "POST", {"name": "more"}) == 201
    [listed] = quetz.value(KEYS, who="mike")
    assert set(listed) == KEY
    assert re.fullmatch(r"rpc-[a-z0-9]{12}…", listed["key"])
    assert made["key"].startswith(listed["key"][:-1])
    assert made["key"] not in quetz.ask(KEYS, who="mike").text
    assert quetz.value(KEYS, who="nick") == []


def test_roles_may_be_left_out(quetz) -> None:
    """Absent and null are no roles."""
    for body in ({"description": "a"}, {"description": "b", "roles": None}):
        assert quetz.value(KEYS, "POST", body, "mike")["roles"] is None


def test_a_key_with_roles_has_these(quetz, tide, zlib) -> None:
    """And no server role of its maker's; all of them are listed."""
    made = make(quetz, "mike", ("member", "main"), ("maintainer", "main", "tide"))
    roles = [
        {"channel": "main", "package": None, "role": "member"},
        {"channel": "main", "package": "tide", "role": "maintainer"},
    ]
    assert made["roles"] == roles
    [listed] = quetz.value(KEYS, who="mike")
    assert listed["roles"] == roles
    secret = made["key"]
    assert status(quetz, secret) == 200
    assert status(quetz, secret, "/api/channels", "POST", {"name": "more"}) == 403
    for one, expected in ((tide, 201), (zlib, 403)):
        target = f"/api/channels/main/upload/{one.file}?sha256="
        assert status(quetz, secret, target, "POST", one.content) == expected
    names = [one["username"] for one in quetz.value("/api/users")]
    assert not [name for name in names if name.startswith("quetz-key")]


def test_a_maintainers_key_is_as_narrow_as_it_says(quetz, tide) -> None:
    """Who manages nobody gets a token of their own that is good for the role, while they are."""
    made = make(quetz, "nick", ("maintainer", "main"))
    assert made["roles"] == [{"channel": "main", "package": None, "role": "maintainer"}]
    assert quetz.value(KEYS, who="nick")[0]["roles"] == made["roles"]
    target = f"/api/channels/main/upload/{tide.file}?sha256="
    assert status(quetz, made["key"], target, "POST", tide.content) == 201
    # A token that is narrower than its account learns of no other, and makes none.
    assert status(quetz, made["key"], KEYS) == 403
    assert status(quetz, made["key"], KEYS, "POST", {"description": "", "roles": []}) == 403
    [binding] = [one for one in quetz.admin.roles.bindings() if one.subject == "user:nick"]
    quetz.admin.roles.unbind(binding.id or 0)
    assert status(quetz, made["key"]) == 404


@pytest.mark.parametrize(
    ("who", "role"),
    [
        ("nick", ("owner", "main")),
        ("nora", ("member", "main")),
        ("nora", ("maintainer", "main", "tide")),
        ("mike", ("member", "olgas")),
    ],
)
def test_nobody_gives_what_they_have_not(quetz, who, role) -> None:
    """403 or 404, and neither an account nor a token is left."""
    quetz.channel("olgas", private=True)
    before = quetz.admin.accounts.list()
    given = dict(zip(("role", "channel", "package"), (*role, None), strict=False))
    assert quetz.refused(KEYS, "POST", {"description": "", "roles": [given]}, who)[0] in {403, 404}
    assert quetz.admin.accounts.list() == before
    assert quetz.admin.accounts.tokens() == []


@pytest.mark.parametrize(
    "body",
    [
        {"roles": "all"},
        {"roles": ["owner"]},
        {"roles": [{"role": "owner"}]},
        {"roles": [{"channel": "main", "role": "king"}]},
        {"roles": [{"channel": "main", "package": "tide", "role": "member"}]},
        {"roles": [{"channel": "main", "role": "member"}] * 101},
        {"roles": [], "expire_at": "soon"},
        {"roles": [], "expire_at": "2020-01-01"},
        {"roles": [], "description": 5},
    ],
)
def test_what_makes_no_key(quetz, body) -> None:
    """422 with a sentence."""
    assert quetz.refused(KEYS, "POST", {"description": "", **body}, "mike")[0] == 422


def test_a_key_with_a_channel_that_is_not_there(quetz) -> None:
    """Said to whoever may manage it all."""
    role = {"channel": "gone", "role": "member"}
    told = quetz.refused(KEYS, "POST", {"description": "", "roles": [role]}, "olga")
    assert told == (404, "Channel gone not found")


def test_a_key_is_good_through_its_last_day(quetz) -> None:
    """The day that it was given, in UTC."""
    today = datetime.now(UTC).date()
    made = make(quetz, expire_at=today.isoformat())
    assert made["expire_at"] == today.isoformat()
    [token] = quetz.admin.accounts.tokens("mike")
    assert token.expires_at is not None
    end = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC)
    assert abs(token.expires_at - end) < timedelta(minutes=5)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("roles", [(), (("member", "main"),)])
def test_a_key_is_deleted(quetz, whole, roles) -> None:
    """By itself or as the list shows it; gone with the next request, and its account, too."""
    made = make(quetz, "mike", *roles)
    named = made["key"] if whole else quetz.value(KEYS, who="mike")[0]["key"][:-1]
    assert quetz.refused(f"{KEYS}/{named}", "DELETE") == (404, "The key not found")
    assert quetz.refused(f"{KEYS}/{named}", "DELETE", who=None)[0] == 401
    assert quetz.value(f"{KEYS}/{named}", "DELETE", who="mike") is None
    assert status(quetz, made["key"]) == 401
    assert quetz.value(KEYS, who="mike") == []
    assert not [one for one in quetz.admin.accounts.list() if one.name.startswith("quetz-key")]
    assert quetz.refused(f"{KEYS}/{named}", "DELETE", who="mike")[0] == 404


def test_an_administrator_deletes_any_key(quetz) -> None:
    """And nobody else the key of another."""
    made = make(quetz)
    for who in ("nora", "mara"):
        assert quetz.refused(f"{KEYS}/{made['key']}", "DELETE", who=who)[0] == 404
    assert quetz.value(f"{KEYS}/{made['key']}", "DELETE", who="olga") is None


def test_whose_key_it_was_is_recorded(quetz) -> None:
    """In the name of who made it, without its secret."""
    made = make(quetz, "mike", ("member", "main"))
    records = quetz.admin.audit.list()
    assert {record.origin.who for record in records[:3]} == {"mike"}
    assert made["key"] not in json.dumps([str(record) for record in records])


def test_how_a_key_is_sent(quetz) -> None:
    """In the field, or before any path."""
    secret = make(quetz)["key"]
    assert quetz.ask(f"/t/{secret}/api/channels/main", who=None).status == 200
    assert quetz.ask(f"/t/{secret}/get/main/noarch/repodata.json", who=None).status == 200
    assert quetz.ask("/api/channels/main", who=None).status == 404
    mike = quetz.registry.session(quetz.registry.admin())
    assert mike.allowed(Action.READ, Resource("conda", "main"))


def test_the_account_of_a_key_is_no_member(quetz) -> None:
    """Those who are listed are people; they are counted with the keys."""
    before = quetz.value("/api/channels/main/members")
    counted = quetz.value("/api/channels/main")["members_count"]
    make(quetz, "mike", ("member", "main"))
    assert any(one.subject.startswith("user:quetz-key-") for one in quetz.admin.roles.bindings())
    assert quetz.value("/api/channels/main/members") == before
    assert quetz.value("/api/channels/main")["members_count"] == counted + 1
