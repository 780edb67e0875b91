"""What providers say of people, as one."""

from __future__ import annotations

import pytest

from repocore.config import ProviderKind, ProviderSettings
from repocore.errors import UpstreamUnavailableError
from repocore.plugins.oauth.profiles import profile_of


def provider(kind: str, **more: object) -> ProviderSettings:
    url = "https://x.example"
    given = {
        "name": "x", "kind": ProviderKind(kind), "client_id": "c", "issuer": url, "base_url": url,
        "authorize_url": url, "token_url": url, "user_url": url, "user_key": None,
    }  # fmt: skip
    if kind == "oauth2":
        given["user_key"] = "login"
    return ProviderSettings(**{**given, **more})


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        (
            "oidc",
            {"sub": "1", "preferred_username": "ann", "email": "a@x.example",
             "email_verified": True, "name": "Ann", "groups": ["a", "b"]},
            ("1", "ann", "a@x.example", True, {"a", "b"}),
        ),
        ("oidc", {"sub": "1"}, ("1", "1", "", False, set())),
        (
            "gitlab",
            {"sub": "7", "nickname": "ann", "email": "a@x.example", "email_verified": True,
             "groups": ["team/core"]},
            ("7", "ann", "a@x.example", True, {"team/core"}),
        ),
        (
            "google",
            {"sub": "108", "email": "ann@team.example", "email_verified": True},
            ("108", "ann@team.example", "ann@team.example", True, set()),
        ),
        (
            "entra",
            {"sub": "s", "oid": "o", "preferred_username": "ann@team.example",
             "email": "ann@team.example", "groups": ["0a-1b"]},
            ("s", "ann@team.example", "ann@team.example", False, {"0a-1b"}),
        ),
        (
            "entra",
            {"sub": "s", "preferred_username": "ann@team.example", "email": "ann@team.example",
             "email_verified": True},
            ("s", "ann@team.example", "ann@team.example", False, set()),
        ),
        (
            "entra",
            {"sub": "s", "preferred_username": "a", "email": "a@x.example", "xms_edov": 1},
            ("s", "a", "a@x.example", True, set()),
        ),
        (
            "github",
            {"id": 42, "login": "ann", "email": "a@x.example", "email_verified": True,
             "groups": [{"login": "core", "id": 1}]},
            ("42", "ann", "a@x.example", True, {"core"}),
        ),
        (
            "jupyterhub",
            {"name": "ann", "admin": False, "groups": ["lab"], "kind": "user"},
            ("ann", "ann", "", False, {"lab"}),
        ),
        ("oauth2", {"login": "ann"}, ("ann", "ann", "", False, set())),
    ],
)  # fmt: skip
def test_each_kind_is_read(kind, said, expected):
    """By the documented shape of its answers."""
    found = profile_of(provider(kind), said)
    got = (found.subject, found.username, found.email, found.verified, set(found.groups))
    assert got == expected


def test_keys_can_be_written():
    """Those of the settings go before the preset's, also further inside."""
    settings = provider(
        "oauth2", user_key="data.user.login", subject_key="data.user.id", groups_key="data.teams"
    )
    said = {"data": {"user": {"login": "ann", "id": 7}, "teams": ["a"]}}
    found = profile_of(settings, said)
    assert (found.username, found.subject, found.groups) == ("ann", "7", {"a"})


@pytest.mark.parametrize(
    "said",
    [{}, {"id": 42}, {"login": "ann"}, {"id": True, "login": "ann"}, {"id": "", "login": "ann"},
     {"id": {"x": 1}, "login": "ann"}, {"id": 1, "login": ["ann"]}, {"id": "a\nb", "login": "ann"}],
)  # fmt: skip
def test_nobody_is_nobody(said):
    """Without a name, or what never changes about them."""
    with pytest.raises(UpstreamUnavailableError):
        profile_of(provider("github"), said)


@pytest.mark.parametrize("groups", [None, "core", {"a": 1}, [1, None, [], {}], 7])
def test_groups_that_are_none(groups):
    """Are no groups, and no mistake of whoever signs in."""
    said = {"id": 1, "login": "ann", "groups": groups}
    assert profile_of(provider("github"), said).groups == frozenset()


def test_what_is_kept_is_short():
    """And says nothing that was not said."""
    found = profile_of(provider("github"), {"id": 1, "login": "ann", "name": "x" * 9000})
    assert found.facts == {"username": "ann", "name": "x" * 255}
