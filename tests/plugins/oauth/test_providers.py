"""The requests of a sign-in, against stand-ins that answer as the real ones are documented to."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from sign_in_house import HERE, admin_of, come_back, go, oidc, sign_in

from repocore.config import ProviderKind, ProviderSettings
from repocore.errors import ConfigurationError
from repocore.plugins.oauth.providers import Provider

GITHUB = {
    "/login/oauth/access_token": {"access_token": "at", "token_type": "bearer"},
    "/api/v3/user": {"login": "octo", "id": 583231, "email": None, "name": "Octo", "type": "User"},
    "/api/v3/user/emails": [
        {"email": "old@evil.example", "primary": False, "verified": False},
        {"email": "octo@team.example", "primary": True, "verified": True},
        {"email": "octo@home.example", "primary": False, "verified": True},
    ],
    "/api/v3/user/orgs": [{"login": "core", "id": 1}, {"login": "friends", "id": 2}],
}  # fmt: skip
HUB = {
    "/hub/api/oauth2/token": {"access_token": "at", "token_type": "Bearer"},
    "/hub/api/user": {"kind": "user", "name": "octo", "admin": False, "groups": ["core"]},
}
PLAIN = {
    "/token": {"access_token": "at"},
    "/user": {"data": {"id": 5, "login": "octo"}, "teams": ["core"]},
}


def answering(pages: dict[str, Any]) -> Any:
    def answer(asked: Any) -> Any:
        if asked.path not in pages:
            return 404, {}, {"message": "Not Found"}
        if asked.method == "GET" and asked.headers.get("authorization") != "Bearer at":
            return 401, {}, {"message": "Bad credentials"}
        told = pages[asked.path]
        return told if isinstance(told, tuple) else (200, {}, told)

    return answer


def provider(kind: ProviderKind, url: str, **more: Any) -> ProviderSettings:
    given = {"name": "idp", "kind": kind, "client_id": "app", "client_secret": "hush"}
    return ProviderSettings(**{**given, "base_url": url, "allow": HERE, **more})


def test_github(open_site, serve):
    """Addresses and organisations are asked for: what the profile shows is what people chose."""
    server = serve(answering(GITHUB))
    settings = provider(
        ProviderKind.GITHUB, server.url, groups={"core": "writers"},
        allowed_domains=("team.example",), organisations=("core",),
    )  # fmt: skip
    browser = open_site(settings)
    asked = go(browser)
    assert asked["scope"] == "read:user user:email read:org"
    assert come_back(browser, asked).status == 302
    account = admin_of(browser).accounts.get("octo")
    assert (account.email, account.groups) == ("octo@team.example", {"writers"})
    assert admin_of(browser).identities.find("idp", "583231").account == "octo"
    [traded] = [one for one in server.asked if one.method == "POST"]
    assert traded.form["client_secret"] == "hush"
    assert traded.headers["accept"] == "application/json"


def test_github_says_no_with_200(open_site, serve):
    """Its refusal of a code is a sentence in JSON."""
    said = {"error": "bad_verification_code", "error_description": "expired"}
    server = serve(answering({**GITHUB, "/login/oauth/access_token": said}))
    browser = open_site(provider(ProviderKind.GITHUB, server.url))
    assert sign_in(browser).status == 401


def test_an_unverified_address_is_none(open_site, serve):
    """Though it is the primary one."""
    emails = [{"email": "boss@team.example", "primary": True, "verified": False}]
    server = serve(answering({**GITHUB, "/api/v3/user/emails": emails}))
    browser = open_site(
        provider(ProviderKind.GITHUB, server.url, allowed_domains=("team.example",))
    )
    assert sign_in(browser).status == 403


def test_jupyterhub(open_site, serve):
    """Its users and groups."""
    server = serve(answering(HUB))
    settings = provider(ProviderKind.JUPYTERHUB, server.url, groups={"core": "writers"})
    browser = open_site(settings)
    answer = browser.ask("/auth/idp/login")
    assert answer.headers["location"].startswith(f"{server.url}/hub/api/oauth2/authorize?")
    assert sign_in(browser).status == 302
    assert admin_of(browser).accounts.get("octo").groups == {"writers"}


def test_anybody_else(open_site, serve):
    """Explicit end points, and the keys of who it is."""
    server = serve(answering(PLAIN))
    settings = provider(
        ProviderKind.OAUTH2, server.url, authorize_url=f"{server.url}/authorize?tenant=x",
        token_url=f"{server.url}/token", user_url=f"{server.url}/user", user_key="data.login",
        subject_key="data.id", groups_key="teams", scope="who am i", groups={"core": "writers"},
        client_auth="basic",
    )  # fmt: skip
    browser = open_site(settings)
    asked = go(browser)
    assert (asked["tenant"], asked["scope"]) == ("x", "who am i")
    assert "nonce" not in asked
    assert come_back(browser, asked).status == 302
    assert admin_of(browser).identities.find("idp", "5").account == "octo"
    assert "authorization" in server.asked[0].headers


@pytest.mark.parametrize("kind", ["gitlab", "google", "entra"])
def test_presets_of_openid(open_site, signer, kind):
    """They are found by discovery, and their groups stand where userinfo says."""
    signer.user = {"sub": "42", "groups": ["core"]}
    given = {"kind": ProviderKind(kind), "groups": {"core": "writers"}, "base_url": signer.url}
    browser = open_site(oidc(signer, **given))
    assert sign_in(browser, signer).status == 302
    [account] = admin_of(browser).accounts.list()
    assert account.name == ("alice@team.example" if kind == "google" else "alice")
    assert account.groups == {"writers"}


def test_userinfo_is_about_the_same_person(open_site, signer):
    """A token of somebody else does not lend its groups (OpenID Connect Core 5.3.2)."""
    signer.user = {"sub": "1", "groups": ["core"]}
    browser = open_site(oidc(signer))
    assert sign_in(browser, signer).status == 401


def test_userinfo_does_not_overrule_what_is_signed(open_site, signer):
    """It adds to it."""
    signer.user = {"sub": "42", "preferred_username": "root", "groups": ["core"]}
    browser = open_site(oidc(signer, groups={"core": "writers"}))
    sign_in(browser, signer)
    assert admin_of(browser).accounts.get("alice").groups == {"writers"}


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": None},
        {"jwks_uri": 7},
        {"authorization_endpoint": {}},
    ],
)
def test_a_strange_configuration_is_refused(open_site, signer, change):
    """Whoever calls itself something else is somebody else."""
    signer.discovery = change
    assert open_site(oidc(signer)).ask("/auth/idp/login").status == 502


@pytest.mark.parametrize(
    ("trade", "status"),
    [
        ((400, {"error": "invalid_grant"}), 401), ((401, {}), 401), ((500, {}), 502),
        ((200, {"access_token": "at"}), 401), ((200, {"id_token": "x"}), 502),
        ((200, []), 502), ((200, {"access_token": "a\nb", "id_token": "x"}), 502),
        ((200, {"access_token": ["a"], "id_token": "x"}), 502), ((200, b"access_token=at"), 502),
    ],
)  # fmt: skip
def test_a_trade_that_fails_is_told(open_site, signer, trade, status):
    """As the sign-in's fault, or the provider's; nothing of it is repeated."""
    signer.trade = trade
    answer = sign_in(open_site(oidc(signer)), signer)
    assert answer.status == status
    assert "invalid_grant" not in answer.text
    assert signer.url not in answer.text


def test_how_the_secret_is_sent(open_site, signer):
    """As the provider's configuration has it."""
    signer.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    sign_in(open_site(oidc(signer)), signer)
    [traded] = signer.traded
    assert traded.form["client_secret"] == "hush"
    assert "authorization" not in traded.headers


def test_a_public_client_has_no_secret(open_site, signer):
    """It names itself; PKCE does the rest."""
    assert sign_in(open_site(oidc(signer, client_secret="")), signer).status == 302
    [traded] = signer.traded
    assert traded.form["client_id"] == "app"
    assert "client_secret" not in traded.form


def test_a_provider_inside_is_not_asked(open_site, signer):
    """Unless the settings allow it; people are told that it does not work, and not where it is."""
    answer = open_site(oidc(signer, allow=())).ask("/auth/idp/login")
    assert answer.status == 502
    assert "127.0.0.1" not in answer.text


def test_where_people_take_it_back(open_site, signer):
    """Where the preset knows a page; else nowhere."""
    hub = provider(ProviderKind.GITHUB, "https://hub.example/", name="hub", client_id="a b")
    browser = open_site(hub, oidc(signer))
    answer = browser.ask("/auth/hub/revoke")
    place = "https://hub.example/settings/connections/applications/a+b"
    assert (answer.status, answer.headers["location"]) == (302, place)
    assert browser.ask("/auth/idp/revoke").status == 404


def test_the_package_is_named(monkeypatch):
    """Where it is not installed: with the command that does it, at start."""
    from jwt import algorithms  # noqa: PLC0415 - an optional package

    monkeypatch.setattr(algorithms, "get_default_algorithms", dict)
    with pytest.raises(ConfigurationError, match=r"pip install 'repocore\[oauth\]'"):
        Provider(provider(ProviderKind.GITHUB, "https://hub.example"))
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "urllib3.connection", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'repocore\["):
        Provider(provider(ProviderKind.GITHUB, "https://hub.example"))
