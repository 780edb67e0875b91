"""There and back: state, PKCE, nonce, and where somebody goes on."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest
from sign_in_house import admin_of, come_back, go, oidc, sign_in

from repocore.config import SessionSettings, WebSettings
from repocore.plugins.oauth.flows import safe_next


def test_somebody_signs_in(open_site, signer):
    """There with a state, a nonce and a challenge, back with a code, on as an account."""
    browser = open_site(oidc(signer))
    asked = go(browser, place="/conan/main")
    assert asked["response_type"] == "code"
    assert asked["client_id"] == "app"
    assert asked["redirect_uri"] == "http://server.example/auth/idp/callback"
    assert asked["code_challenge_method"] == "S256"
    signer.nonce = asked["nonce"]
    answer = come_back(browser, asked)
    assert (answer.status, answer.headers["location"]) == (302, "/conan/main")
    page = browser.ask("/account")
    assert '<strong id="name">alice</strong>' in page.text
    [identity] = admin_of(browser).identities.list()
    assert (identity.subject, identity.account) == ("42", "alice")
    assert list(browser.cookies) == ["repocore_session"]


def test_the_code_is_traded_with_what_only_we_know(open_site, signer):
    """The verifier whose hash went before it, and our secret."""
    browser = open_site(oidc(signer))
    asked = go(browser)
    signer.nonce = asked["nonce"]
    assert come_back(browser, asked).status == 302
    [traded] = signer.traded
    hashed = hashlib.sha256(traded.form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(hashed).decode().rstrip("=") == asked["code_challenge"]
    assert traded.form["redirect_uri"] == asked["redirect_uri"]
    assert traded.headers["authorization"] == "Basic " + base64.b64encode(b"app:hush").decode()
    assert "client_secret" not in traded.form


def test_an_answer_is_good_once(open_site, signer):
    """Who plays it again gets nothing, also with the cookie of that sign-in (T22)."""
    browser = open_site(oidc(signer))
    asked = go(browser)
    signer.nonce = asked["nonce"]
    kept = dict(browser.cookies)
    assert come_back(browser, asked).status == 302
    browser.cookies = kept
    assert come_back(browser, asked).status == 401
    assert "repocore_session" not in browser.cookies


@pytest.mark.parametrize("wrong", ["", "x", "é"])
def test_another_state_is_refused(open_site, signer, wrong):
    """It was not us who sent this browser there."""
    browser = open_site(oidc(signer))
    asked = go(browser)
    signer.nonce = asked["nonce"]
    assert come_back(browser, {"state": wrong}).status == 401


def test_another_browser_is_refused(open_site, signer):
    """Whoever is led to somebody else's answer is not signed in as them."""
    browser = open_site(oidc(signer))
    asked = go(browser)
    signer.nonce = asked["nonce"]
    browser.cookies.clear()
    assert come_back(browser, asked).status == 401


def test_a_cookie_that_we_did_not_write_is_refused(open_site, signer):
    """Its content is signed."""
    browser = open_site(oidc(signer))
    asked = go(browser)
    signer.nonce = asked["nonce"]
    [(name, value)] = browser.cookies.items()
    body, _, mac = value.partition(".")
    for forged in (f"{body}x.{mac}", body, f"{body}.", "", f"{body}.{mac[:-1]}0x"):
        browser.cookies[name] = forged
        assert come_back(browser, asked).status == 401


def test_a_sign_in_does_not_take_for_ever(open_site, signer, monkeypatch):
    """After ten minutes it is begun anew."""
    browser = open_site(oidc(signer))
    now = time.time
    monkeypatch.setattr("repocore.plugins.oauth.flows.time.time", lambda: now() - 700)
    asked = go(browser)
    monkeypatch.undo()
    signer.nonce = asked["nonce"]
    assert come_back(browser, asked).status == 401


def test_several_sign_ins_at_once(open_site, signer):
    """In several windows; each finishes."""
    browser = open_site(oidc(signer))
    first, second = go(browser), go(browser)
    for asked in (first, second):
        signer.nonce = asked["nonce"]
        assert come_back(browser, asked).status == 302


def test_each_provider_has_its_own_answers(open_site, signer):
    """What was begun with one is not finished with another."""
    browser = open_site(oidc(signer), oidc(signer, name="other"))
    asked = go(browser)
    signer.nonce = asked["nonce"]
    assert come_back(browser, asked, "other").status == 401


def test_another_issuer_is_refused(open_site, signer):
    """An answer that says that it is of somebody else (RFC 9207)."""
    browser = open_site(oidc(signer))
    asked = go(browser)
    signer.nonce = asked["nonce"]
    assert come_back(browser, asked, iss="https://evil.example").status == 401


def test_a_no_is_told(open_site, signer):
    """The provider's words are not repeated."""
    browser = open_site(oidc(signer, title="The House"))
    asked = go(browser)
    query = f"error=access_denied&error_description=%3Cscript%3E&state={asked['state']}"
    answer = browser.ask(f"/auth/idp/callback?{query}")
    assert answer.status == 401
    assert "The House did not let you sign in" in answer.text
    assert "script" not in answer.text


def test_the_session_is_a_new_one(open_site, signer):
    """What the browser had before is worth nothing any more (T21)."""
    browser = open_site(oidc(signer))
    sign_in(browser, signer)
    before = browser.cookies["repocore_session"]
    sign_in(browser, signer)
    after = browser.cookies["repocore_session"]
    assert before != after
    browser.cookies["repocore_session"] = before
    assert browser.ask("/account").status == 302
    browser.cookies["repocore_session"] = after
    assert browser.ask("/account").status == 200


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (SessionSettings(), {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"}),
        (SessionSettings(secure=True), {"Secure"}),
        (SessionSettings(domain="team.example"), {"Domain=team.example"}),
    ],
)
def test_the_cookie_is_kept_close(open_site, signer, session, words):
    """No script reads it, no form from elsewhere brings it; the rest is of the settings."""
    browser = open_site(oidc(signer), session=session)
    sign_in(browser, signer)
    [cookie] = [one for one in browser.set_cookies if one.startswith("repocore_session=")]
    assert words <= set(cookie.split("; "))
    assert ("Secure" in cookie) == bool(session.secure)


def test_over_https_the_cookie_stays_there(open_site, signer):
    """Where people use https, without a setting."""
    browser = open_site(oidc(signer), web=WebSettings(public_url="https://packages.example"))
    asked = go(browser)
    assert asked["redirect_uri"] == "https://packages.example/auth/idp/callback"
    assert all("; Secure" in cookie for cookie in browser.set_cookies)


def test_the_callback_can_be_written(open_site, signer):
    """Exactly as it is registered there."""
    browser = open_site(oidc(signer, callback="https://front.example/back"))
    assert go(browser)["redirect_uri"] == "https://front.example/back"


EVIL = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "/\t/x",
    "https://evil.example/", "evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: x=y", "///x",
    "/%0d%0a\n", "/\u2215evil", "", None, "http:/evil.example", " //evil.example", "/a\\b", "/x y",
    "/auth/login", "/auth/logout?x",
]  # fmt: skip


@pytest.mark.parametrize("place", EVIL)
def test_next_leads_nowhere_else(place):
    """Only to a path of this server; anything else to the account's page (T22)."""
    assert safe_next(place, "https://packages.example/pkg") == "/pkg/account"


@pytest.mark.parametrize("place", ["/", "/conan/main?q=1#x", "/a//b", "/account"])
def test_next_leads_on(place):
    """A path of ours stays as it is."""
    assert safe_next(place, "https://packages.example") == place


@pytest.mark.parametrize("place", [one for one in EVIL if one and one.isprintable()])
def test_nobody_is_sent_elsewhere(open_site, signer, place):
    """The same through a whole sign-in."""
    browser = open_site(oidc(signer))
    assert sign_in(browser, signer, place).headers["location"] == "/account"


def test_an_unknown_provider_is_not_there(open_site, signer):
    """On each of its paths."""
    browser = open_site(oidc(signer))
    for path in ("login", "callback", "authorize", "enabled", "revoke"):
        assert browser.ask(f"/auth/nobody/{path}").status == 404


def test_the_paths_of_quetz_answer(open_site, signer):
    """`authorize` is where a provider sends people back to, `enabled` says that it is there."""
    browser = open_site(oidc(signer))
    assert browser.ask("/auth/idp/enabled").text == "true"
    asked = go(browser)
    signer.nonce = asked["nonce"]
    answer = browser.ask(f"/auth/idp/authorize?code=c&state={asked['state']}")
    assert answer.status == 302
    assert "repocore_session" in browser.cookies


def test_failures_add_up(open_site, signer):
    """As of every other way of signing in: whoever tries codes has to wait."""
    browser = open_site(oidc(signer))
    go(browser)
    told = [come_back(browser, {"state": f"guess-{number}"}).status for number in range(101)]
    assert told == [401] * 100 + [429]
