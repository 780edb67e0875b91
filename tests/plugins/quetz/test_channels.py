"""Channels: made by whoever may, and shown with exactly the keys that clients take apart."""

from __future__ import annotations

import pytest

EXTRA = {
    "name", "description", "private", "size_limit", "ttl", "mirror_channel_url", "mirror_mode",
    "members_count", "packages_count",
}  # fmt: skip
CHANNELS = "/api/channels"


def names(found) -> list[str]:
    return [one["name"] for one in found]


def test_a_channel_is_made_shown_changed_and_deleted(quetz) -> None:
    """Each step as its maker, who owns it."""
    body = {"name": "main", "description": "Ours.", "ttl": 60}
    assert quetz.value(CHANNELS, "POST", body, "mike") is None
    shown = quetz.value(f"{CHANNELS}/main", who="mike")
    assert set(shown) == EXTRA
    assert shown == {
        "name": "main", "description": "Ours.", "private": True, "size_limit": None, "ttl": 60,
        "mirror_channel_url": None, "mirror_mode": None, "members_count": 1, "packages_count": 0,
    }  # fmt: skip
    changed = quetz.value(f"{CHANNELS}/main", "PATCH", {"private": False, "ttl": 5}, "mike")
    assert set(changed) == EXTRA - {"members_count", "packages_count"}
    assert (changed["private"], changed["ttl"], changed["description"]) == (False, 5, "Ours.")
    assert quetz.value(f"{CHANNELS}/main", "DELETE", who="mike") is None
    assert quetz.refused(f"{CHANNELS}/main", who="mike") == (404, "Channel main not found")


def test_who_may_make_channels(quetz) -> None:
    """Whoever has a server role, and owns what they made."""
    for who in ("olga", "mara", "mike"):
        quetz.channel(who, who)
        members = quetz.value(f"{CHANNELS}/{who}/members", who=who)
        assert [(one["role"], one["user"]["username"]) for one in members] == [("owner", who)]
    assert quetz.refused(CHANNELS, "POST", {"name": "nora"}) == (403, "No permission")
    assert quetz.refused(CHANNELS, "POST", {"name": "x"}, None) == (401, "Not logged in")
    assert quetz.refused(CHANNELS, "POST", {"name": "olga"}, "mike")[0] == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a_b"},
        {"name": "a/b"},
        {"name": "ä"},
        {"name": ""},
        {"name": "x" * 51},
        {"name": "t"},
        {"name": "ok", "description": "x" * 301},
        {"name": "ok", "size_limit": -1},
        {"name": "ok", "ttl": -1},
        {"name": "ok", "ttl": "soon"},
        {"name": "ok", "private": "maybe"},
        {"name": "ok", "private": 1},
        {"name": "ok", "colour": "red"},
        {"name": "ok", "mirror_mode": "proxy", "mirror_channel_url": "http://far.example/x"},
        {"name": "ok", "metadata": {"includelist": ["numpy"]}},
        {"name": "ok", "metadata": []},
        {"name": "ok", "actions": ["fly"]},
        {"name": "ok", "actions": "cleanup"},
    ],
)
def test_what_cannot_be_made_is_told(quetz, body) -> None:
    """422 with a sentence, and nothing is made."""
    status, detail = quetz.refused(CHANNELS, "POST", body, "olga")
    assert (status, isinstance(detail, str)) == (422, True)
    assert quetz.value(CHANNELS) == []


def test_what_the_command_line_of_the_client_sends(quetz) -> None:
    """Words for truth values and numbers, and a query that says nothing."""
    path = f"{CHANNELS}?mirror_api_key=&register_mirror=False"
    body = {"name": "main", "private": "False", "size_limit": "1000", "metadata": {}}
    quetz.value(path, "POST", body)
    shown = quetz.value(f"{CHANNELS}/main")
    assert (shown["private"], shown["size_limit"]) == (False, 1000)


def test_a_size_limit_is_for_those_who_administer_channels(quetz) -> None:
    """Not for the owner, when it is made nor later; and it can be taken back."""
    assert quetz.refused(CHANNELS, "POST", {"name": "a", "size_limit": 5}, "mike")[0] == 403
    quetz.channel("main", "mike")
    assert quetz.refused(f"{CHANNELS}/main", "PATCH", {"size_limit": 5}, "mike")[0] == 403
    for limit in (5, None):
        changed = quetz.value(f"{CHANNELS}/main", "PATCH", {"size_limit": limit}, "mara")
        assert changed["size_limit"] == limit
    assert quetz.refused(f"{CHANNELS}/main", "PATCH", {"name": "other"}, "mike")[0] == 422


def test_a_size_limit_holds(quetz, tide) -> None:
    """For uploads in every form."""
    quetz.channel("main", size_limit=10)
    assert quetz.upload("main", tide).status == 413


def test_each_sees_what_they_may_read(quetz) -> None:
    """A private channel is in no list of others, and like one that is not there."""
    quetz.channel("open", "mike")
    quetz.channel("shut", "mike", private=True)
    assert names(quetz.value(CHANNELS, who="mike")) == ["open", "shut"]
    assert names(quetz.value(f"{CHANNELS}?public=False", who="olga")) == []
    assert names(quetz.value(f"{CHANNELS}?public=False", who="mike")) == ["open", "shut"]
    assert names(quetz.value(f"{CHANNELS}?q=SHU", who="mike")) == ["shut"]
    for who in ("nora", None):
        assert names(quetz.value(CHANNELS, who=who)) == ["open"]
        paged = quetz.value(f"/api/paginated{CHANNELS.removeprefix('/api')}", who=who)
        assert paged["pagination"]["all_records_count"] == 1
        assert names(paged["result"]) == ["open"]
        hidden = quetz.ask(f"{CHANNELS}/shut", who=who)
        absent = quetz.ask(f"{CHANNELS}/nope", who=who)
        assert hidden.status == absent.status == 404
        assert hidden.text.replace("shut", "nope") == absent.text
    for method, path, body in (
        ("PATCH", "", {"ttl": 1}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("PUT", "/actions", {"action": "generate_indexes"}),
        ("DELETE", "/packages/tide", None),
        ("POST", "/packages", {"name": "tide"}),
    ):
        told = [
            quetz.refused(f"{CHANNELS}/{name}{path}", method, body) for name in ("shut", "nope")
        ]
        assert [status for status, _ in told] == [404, 404]
        assert told[0][1].replace("shut", "nope") == told[1][1]
        assert quetz.refused(f"{CHANNELS}/shut{path}", method, body, None)[0] == 401


def test_readers_change_nothing(quetz) -> None:
    """403 for whoever sees the channel and may no more."""
    quetz.channel("main", "mike")
    for method, path, body in (
        ("PATCH", "", {"ttl": 1}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("POST", "/members", {"username": "nora", "role": "owner"}),
        ("PUT", "/actions", {"action": "generate_indexes"}),
        ("POST", "/mirrors", {"url": "http://far.example"}),
        ("DELETE", "/packages/tide", None),
    ):
        assert quetz.refused(f"{CHANNELS}/main{path}", method, body) == (403, "No permission")


def test_mirrors_are_told_to_look_for_themselves(quetz) -> None:
    """There are none, and none is registered."""
    quetz.channel("main")
    assert quetz.value(f"{CHANNELS}/main/mirrors", who=None) == []
    body = {"url": "http://far.example/get/main"}
    assert quetz.refused(f"{CHANNELS}/main/mirrors", "POST", body, "olga")[0] == 422


def test_counts_are_of_now(quetz, tide, zlib) -> None:
    """Packages by name, members by account."""
    quetz.channel("main")
    for one in (tide, zlib):
        assert quetz.upload("main", one).status == 201
    quetz.value(f"{CHANNELS}/main/members", "POST", {"username": "nick", "role": "member"})
    [shown] = quetz.value(CHANNELS)
    assert (shown["packages_count"], shown["members_count"]) == (2, 2)


def test_the_next_of_a_name_starts_without_the_old_members(quetz) -> None:
    """They went with the channel (T28)."""
    quetz.channel("main", private=True)
    quetz.value(f"{CHANNELS}/main/members", "POST", {"username": "nick", "role": "member"})
    quetz.value(f"{CHANNELS}/main", "DELETE")
    quetz.channel("main", private=True)
    assert quetz.refused(f"{CHANNELS}/main", who="nick")[0] == 404


@pytest.mark.parametrize("name", ["..", "a%20b", "x" * 300, "t"])
def test_no_name_of_a_channel(quetz, name) -> None:
    """Refused, or not there; never an error of the server's."""
    assert quetz.ask(f"{CHANNELS}/{name}").status in {400, 404}
