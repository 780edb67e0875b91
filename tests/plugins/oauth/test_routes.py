"""The sign-in page, its ways, and the page of who has signed in."""

from __future__ import annotations

import re

import pytest
from sign_in_house import admin_of, oidc, sign_in

from repocore.config import SessionSettings, WebSettings, scope_rule
from repocore.cookies import csrf_word

PASSWORD = "correct horse"
LOOPBACK = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000"}


@pytest.fixture
def browser(open_site):
    opened = open_site()
    admin_of(opened).accounts.add("ann", PASSWORD, groups=["team"])
    return opened


def word_of(page) -> str:
    return re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]


def log_in(browser, place: str = "", **fields: str):
    page = browser.ask(f"/auth/login?next={place}")
    given = {"username": "ann", "password": PASSWORD, "csrf": word_of(page), "next": place}
    return browser.send("/auth/login", {**given, **fields})


def test_a_password_signs_in(browser):
    """Through the form, with its word, and on to where somebody wanted to go."""
    answer = log_in(browser, "/conan/main")
    assert (answer.status, answer.headers["location"]) == (302, "/conan/main")
    assert list(browser.cookies) == ["repocore_session"]
    page = browser.ask("/account")
    assert '<strong id="name">ann</strong>' in page.text
    assert '<span id="groups">team</span>' in page.text


@pytest.mark.parametrize("given", [{"password": "x"}, {"username": "zoe"}, {"username": ""}])
def test_a_wrong_password_is_told(browser, given):
    """The same of a wrong user; the form is there again, without what was typed."""
    answer = log_in(browser, **given)
    assert answer.status == 401
    assert "Wrong user or password." in answer.text
    assert PASSWORD not in answer.text
    assert "repocore_session" not in browser.cookies


def test_a_form_from_elsewhere_signs_nobody_in(browser):
    """As somebody else, say: without our cookie and its word it is not our form (T21)."""
    page = browser.ask("/auth/login")
    kept = dict(browser.cookies)
    for cookies, word in ((kept, ""), (kept, "x"), ({}, word_of(page)), (kept, csrf_word("x"))):
        browser.cookies = dict(cookies)
        fields = {"username": "ann", "password": PASSWORD, "csrf": word}
        assert browser.send("/auth/login", fields).status == 403
    assert "repocore_session" not in browser.cookies


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"&", "multipart/form-data"), (b"{}", "application/json"), (b"a", "text/plain"),
     (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded"),
     (b"&".join([b"a=b"] * 99), "application/x-www-form-urlencoded")],
    ids=["parts", "json", "text", "long", "many"],
)  # fmt: skip
def test_other_bodies_are_no_forms(browser, body, kind):
    """Each is refused with a sentence."""
    answer = browser.ask("/auth/login", "POST", body=body, CONTENT_TYPE=kind)
    assert answer.status == 422


def test_nothing_runs_in_a_page(open_site, signer):
    """What comes from elsewhere is escaped, and a strict policy holds for the rest (T46)."""
    browser = open_site(oidc(signer, title="<script>alert(1)</script>"))
    page = browser.ask("/auth/login?next=/%22%3E%3Cscript%3E")
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "same-origin"


def test_every_provider_is_offered(open_site, signer):
    """By its title; the way on goes along."""
    browser = open_site(oidc(signer, title="The House"), oidc(signer, name="other"))
    page = browser.ask("/auth/login?next=/conan/main")
    assert "Sign in with The House" in page.text
    assert "Sign in with other" in page.text
    assert "/auth/idp/login?next=%2Fconan%2Fmain" in page.text


def test_somebody_signs_out(browser):
    """The cookie goes, and what it held is worth nothing any more."""
    log_in(browser)
    kept = dict(browser.cookies)
    page = browser.ask("/auth/logout")
    assert browser.ask("/account").status == 200, "to be asked is not to leave"
    answer = browser.send("/auth/logout", {"csrf": word_of(page)})
    assert (answer.status, answer.headers["location"]) == (302, "/auth/login")
    assert browser.cookies == {}
    browser.cookies = kept
    assert browser.ask("/account").status == 302


def test_nobody_signs_somebody_out_from_elsewhere(browser):
    """Neither by a form nor by a link."""
    log_in(browser)
    assert browser.send("/auth/logout", {"csrf": "x"}).status == 403
    assert browser.ask("/account").status == 200


def test_strangers_are_led_to_the_sign_in(browser):
    """Who reads pages; programs are told what they lack."""
    answer = browser.ask("/account")
    assert (answer.status, answer.headers["location"]) == (302, "/auth/login?next=%2Faccount")
    assert browser.ask("/account", HTTP_ACCEPT="*/*").status == 401
    assert browser.send("/account/tokens", {"name": "x", "days": "1"}).status == 401


def test_a_token_is_made_shown_once_and_revoked(browser):
    """By the forms of the page."""
    log_in(browser)
    word = word_of(browser.ask("/account"))
    page = browser.send("/account/tokens", {"csrf": word, "name": "<b>laptop", "days": "7"})
    [secret] = re.findall(r'id="secret">(rpc-[^<]+)<', page.text)
    assert "&lt;b&gt;laptop" in page.text
    assert secret not in browser.ask("/account").text
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    assert browser.ask("/api/v1/roles", **bearer).status == 200
    [token] = admin_of(browser).accounts.tokens("ann")
    answer = browser.send(f"/account/tokens/{token.id}/revoke", {"csrf": word})
    assert answer.status == 302
    assert browser.ask("/api/v1/roles", **bearer).status == 401
    assert "You have none" in browser.ask("/account").text


@pytest.mark.parametrize(
    "fields",
    [{"name": "", "days": "1"}, {"name": "x"}, {"name": "x", "days": "-1"}, {"name": "x" * 101},
     {"name": "x", "days": "\u0661"}, {"name": "a\nb", "days": "1"}, {"name": "x", "days": "0"}],
)  # fmt: skip
def test_a_token_that_cannot_be_is_told(browser, fields):
    """With a sentence, and nothing is made."""
    log_in(browser)
    word = word_of(browser.ask("/account"))
    assert browser.send("/account/tokens", {"csrf": word, **fields}).status == 422
    assert admin_of(browser).accounts.tokens() == []


def test_tokens_of_others_are_not_there(browser):
    """Also for whoever knows their numbers (T24)."""
    admin_of(browser).accounts.add("bob")
    token, _ = admin_of(browser).accounts.create_token("bob", "x")
    log_in(browser)
    word = word_of(browser.ask("/account"))
    for number in (str(token.id), "999", "x", "9" * 40, "1_0"):
        answer = browser.send(f"/account/tokens/{number}/revoke", {"csrf": word})
        assert answer.status == 404
    assert admin_of(browser).accounts.tokens("bob")[0].revoked_at is None


def test_a_token_makes_no_tokens(browser):
    """Who signs in to the page with one of narrow scope sees who they are, and no more."""
    _, secret = admin_of(browser).accounts.create_token(
        "ann", "narrow", rules=[scope_rule("read:conan/**")]
    )
    assert log_in(browser, username="__token__", password=secret).status == 302
    page = browser.ask("/account")
    assert '<strong id="name">ann</strong>' in page.text
    assert "make-token" not in page.text
    fields = {"csrf": word_of(page), "name": "x", "days": "1"}
    assert browser.send("/account/tokens", fields).status in {403, 404}


def test_there_need_be_no_pages(open_site, signer):
    """A switch leaves the flows of providers alone."""
    browser = open_site(oidc(signer), web=WebSettings(pages=False))
    assert sign_in(browser, signer).status == 302
    for path in ("/auth/login", "/account", "/auth/logout"):
        assert browser.ask(path).status in {404, 405}


def test_a_developer_is_anybody(open_site):
    """Where the settings say so, on loopback."""
    browser = open_site(session=SessionSettings(dev_login=True))
    answer = browser.ask("/auth/dev/login/zoe?next=/conan/main", **LOOPBACK)
    assert (answer.status, answer.headers["location"]) == (302, "/conan/main")
    assert '<strong id="name">zoe</strong>' in browser.ask("/account", **LOOPBACK).text


@pytest.mark.parametrize(
    ("session", "fields"),
    [
        (SessionSettings(), {}),
        (SessionSettings(dev_login=True), {"REMOTE_ADDR": "192.0.2.7"}),
        (SessionSettings(dev_login=True), {"REMOTE_ADDR": ""}),
        (SessionSettings(dev_login=True), {"HTTP_HOST": "packages.example"}),
        (SessionSettings(dev_login=True), {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}),
        (SessionSettings(dev_login=True), {"HTTP_FORWARDED": "for=192.0.2.7"}),
        (SessionSettings(dev_login=True), {"HTTP_VIA": "1.1 front"}),
    ],
)
def test_nobody_else_is_a_developer(open_site, session, fields):
    """Without the setting, from elsewhere, under another name, or through a proxy: not there."""
    browser = open_site(session=session)
    assert browser.ask("/auth/dev/login/zoe", **{**LOOPBACK, **fields}).status == 404
    assert admin_of(browser).accounts.list() == []
