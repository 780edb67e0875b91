"""From who somebody is elsewhere to an account here."""

from __future__ import annotations

import pytest
from sign_in_house import admin_of, oidc, sign_in

from repocore import AuditQuery


def names(browser) -> set[str]:
    return {account.name for account in admin_of(browser).accounts.list()}


def test_the_same_person_is_the_same_account(open_site, signer):
    """Whatever they are called there now; each change stands in the audit once."""
    browser = open_site(oidc(signer))
    sign_in(browser, signer)
    signer.claims = {"preferred_username": "alicia", "name": "Alicia"}
    assert sign_in(browser, signer).status == 302
    assert names(browser) == {"alice"}
    [identity] = admin_of(browser).identities.list()
    assert identity.profile["name"] == "Alicia"
    records = admin_of(browser).audit.list(AuditQuery(what="alice"))
    assert sorted(one.details["change"] for one in records) == ["added", "identity of idp linked"]
    assert {one.origin.via for one in records} == {"idp"}
    assert {one.origin.source for one in records} == {"192.0.2.7"}


def test_another_person_of_that_name_is_not(open_site, signer):
    """A name changes hands over there: that takes nothing over here."""
    browser = open_site(oidc(signer))
    sign_in(browser, signer)
    browser.cookies.clear()
    signer.claims = {"sub": "43"}
    answer = sign_in(browser, signer)
    assert answer.status == 403
    assert "There is an account alice already" in answer.text
    assert "repocore_session" not in browser.cookies


@pytest.mark.parametrize(
    ("link", "claims", "status"),
    [
        ("email", {}, 302),
        ("email", {"email": "ANN@Team.Example"}, 302),
        ("email", {"email_verified": False}, 403),
        ("email", {"email_verified": None}, 403),
        ("email", {"email": "bob@team.example"}, 403),
        ("never", {}, 403),
    ],
)
def test_an_account_is_linked_by_its_address(open_site, signer, link, claims, status):
    """Where the settings say so, and the provider has verified the address."""
    browser = open_site(oidc(signer, link=link, create=False))
    accounts = admin_of(browser).accounts
    accounts.add("ann", email="ann@team.example")
    accounts.add("robot", email="bob@team.example", service=True)
    signer.claims = {"email": "ann@team.example", **claims}
    assert sign_in(browser, signer).status == status
    linked = [one.account for one in admin_of(browser).identities.list()]
    assert linked == (["ann"] if status == 302 else [])


def test_an_address_of_two_accounts_links_none(open_site, signer):
    """Nobody knows which was meant."""
    browser = open_site(oidc(signer, link="email", create=False))
    for name in ("ann", "anna"):
        admin_of(browser).accounts.add(name, email="alice@team.example")
    assert sign_in(browser, signer).status == 403


def test_nobody_is_made_where_nobody_is_to_be(open_site, signer):
    """Only those whom an administrator has linked come in."""
    browser = open_site(oidc(signer, create=False))
    assert sign_in(browser, signer).status == 403
    admin_of(browser).accounts.add("ann")
    admin_of(browser).identities.link("idp", "42", "ann")
    assert sign_in(browser, signer).status == 302


@pytest.mark.parametrize(
    ("email", "verified", "status"),
    [
        ("a@team.example", True, 302), ("a@TEAM.example", True, 302),
        ("a@team.example", False, 403), ("a@team.example", "false", 403),
        ("a@evil.example", True, 403), ("a@sub.team.example", True, 403),
        ("a@team.example@evil.example", True, 403), ("a@team.example.evil.example", True, 403),
        ("", True, 403), (None, True, 403),
    ],
)  # fmt: skip
def test_only_some_domains(open_site, signer, email, verified, status):
    """By the verified address, to its last letter."""
    browser = open_site(oidc(signer, allowed_domains=("team.example",)))
    signer.claims = {"email": email, "email_verified": verified}
    assert sign_in(browser, signer).status == status
    assert bool(names(browser)) == (status == 302)


def test_only_some_organisations(open_site, signer):
    """Members of one of them; others are told, and get no account."""
    browser = open_site(oidc(signer, organisations=("core", "friends")))
    signer.claims = {"groups": ["others"]}
    assert sign_in(browser, signer).status == 403
    signer.claims = {"groups": ["others", "friends"]}
    assert sign_in(browser, signer).status == 302
    signer.claims = {}
    assert sign_in(browser, signer).status == 403


def test_groups_follow_the_provider(open_site, signer):
    """Those that the settings name are given and taken; others are left as they are."""
    browser = open_site(oidc(signer, groups={"devs": "writers", "ops": "keepers"}))
    signer.claims = {"groups": ["devs", "ops", "unheard-of"]}
    sign_in(browser, signer)
    room = admin_of(browser).accounts
    assert room.get("alice").groups == {"writers", "keepers"}
    room.add_to_group("choir", "alice")
    signer.claims = {"groups": ["ops"]}
    sign_in(browser, signer)
    assert room.get("alice").groups == {"keepers", "choir"}


def test_nobody_gets_a_group_by_its_name(open_site, signer):
    """What a provider calls a group is not what we call one."""
    browser = open_site(oidc(signer, groups={"devs": "writers"}))
    signer.claims = {"groups": ["writers", "admins", {"name": "writers"}]}
    sign_in(browser, signer)
    assert admin_of(browser).accounts.get("alice").groups == set()
    assert 'id="groups">none<' in browser.ask("/account").text


@pytest.mark.parametrize("change", ["disable", "remove"])
def test_a_session_ends_with_its_account(open_site, signer, change):
    """With the next request (T16)."""
    browser = open_site(oidc(signer))
    sign_in(browser, signer)
    getattr(admin_of(browser).accounts, change)("alice")
    assert browser.ask("/account").status == 302


def test_a_disabled_account_stays_out(open_site, signer):
    """Whoever vouches for it."""
    browser = open_site(oidc(signer))
    sign_in(browser, signer)
    admin_of(browser).accounts.disable("alice")
    answer = sign_in(browser, signer)
    assert answer.status == 401
    assert "disabled" in answer.text


@pytest.mark.parametrize(
    ("said", "name"),
    [("Alice Li", "Alice-Li"), ("../root", "root"), ("a/b", "a-b"), ("x" * 300, "x" * 100)],
)
def test_strange_names_are_made_ours(open_site, signer, said, name):
    """With the letters that a name may have."""
    browser = open_site(oidc(signer))
    signer.claims = {"preferred_username": said}
    sign_in(browser, signer)
    assert names(browser) == {name}


@pytest.mark.parametrize("said", ["anonymous", "....", "\u00fc", "//"])
def test_a_name_that_cannot_be_is_told(open_site, signer, said):
    """And the way in: an administrator links an account."""
    browser = open_site(oidc(signer))
    signer.claims = {"preferred_username": said}
    answer = sign_in(browser, signer)
    assert answer.status == 403
    assert "ask an administrator" in answer.text
