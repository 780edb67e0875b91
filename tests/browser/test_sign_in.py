"""People sign in: a real browser, and a real provider that insists on PKCE."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def sign_in(page: Any, site: Any, name: str, place: str = "") -> None:
    """Through the sign-in page to the provider, its two questions, and back."""
    page.goto(f"{site.server.address}/auth/login{place}")
    page.click("#with-house")
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", "anything")
    page.click("button[type=submit]")
    page.click("button[type=submit]")  # what we are told of them
    page.wait_for_url(f"{site.server.address}/**")


def session_cookie(page: Any) -> dict[str, Any]:
    [found] = [one for one in page.context.cookies() if one["name"] == "repocore_session"]
    return found


def test_somebody_signs_in_with_a_provider(page, site):
    """To the page of their account, with the groups that the settings give them."""
    sign_in(page, site, "alice")
    assert page.url == f"{site.server.address}/account"
    assert page.inner_text("#name") == "alice"
    assert page.inner_text("#groups") == "authors"
    assert page.inner_text("#providers") == "house"
    cookie = session_cookie(page)
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert page.evaluate("document.cookie") == ""
    [identity] = json.loads(site.server.run("identity", "list", "--json"))
    assert (identity["subject"], identity["account"]) == ("alice", "alice")


def test_they_go_on_to_where_they_wanted(page, site):
    """The place survives the way there and back."""
    sign_in(page, site, "alice", "?next=/healthz")
    assert page.url == f"{site.server.address}/healthz"


def test_others_are_told_why_not(page, site):
    """Who is in none of the organisations: on a page, without a session."""
    sign_in(page, site, "bob")
    assert "Only members of certain groups" in page.inner_text("[role=alert]")
    assert [one for one in page.context.cookies() if one["name"] == "repocore_session"] == []


def test_an_answer_is_not_played_again(page, site):
    """The address that the provider sent the browser to, once more."""
    seen: list[str] = []
    page.on("request", lambda asked: seen.append(asked.url))
    sign_in(page, site, "alice")
    [answer] = [url for url in seen if "/auth/house/callback?" in url]
    page.goto(answer)
    assert "begin again" in page.inner_text("[role=alert]")


def test_somebody_signs_out(page, site):
    """And what the cookie held is worth nothing any more."""
    sign_in(page, site, "alice")
    cookie = session_cookie(page)
    page.click("#sign-out")
    page.wait_for_url("**/auth/login")
    page.context.add_cookies([cookie])
    page.goto(f"{site.server.address}/account")
    assert page.url.startswith(f"{site.server.address}/auth/login")


def test_a_disabled_account_is_out(page, site):
    """With the next request."""
    sign_in(page, site, "alice")
    site.server.run("user", "disable", "alice")
    try:
        page.goto(f"{site.server.address}/account")
        assert page.url.startswith(f"{site.server.address}/auth/login")
    finally:
        site.server.run("user", "enable", "alice")


def test_the_provider_changes_its_keys(page, site):
    """Its next tokens are signed by others; people sign in all the same."""
    sign_in(page, site, "alice")
    page.context.clear_cookies()
    site.provider.stop()
    site.provider.start()
    # Unknown keys are asked for now and then only.
    page.wait_for_timeout(10_500)
    sign_in(page, site, "alice")
    assert page.inner_text("#name") == "alice"


def test_a_password_a_token_and_its_end(page, site):
    """All by forms, without a script: sign in, make a token, see it once, revoke it."""
    site.server.run("user", "add", "carl", "--password-stdin", typed="right\n")
    page.goto(f"{site.server.address}/auth/login")
    page.fill("input[name=username]", "carl")
    page.fill("input[name=password]", "wrong")
    page.click("#sign-in")
    assert "Wrong user or password." in page.inner_text("[role=alert]")
    page.fill("input[name=username]", "carl")
    page.fill("input[name=password]", "right")
    page.click("#sign-in")
    page.wait_for_url("**/account")
    page.fill("input[name=name]", "<script>alert(1)</script>")
    page.click("#make-token")
    assert page.inner_text("#secret").startswith("rpc-")
    assert "<script>alert(1)</script>" in page.inner_text("#tokens")
    page.goto(f"{site.server.address}/account")
    assert page.query_selector("#secret") is None
    page.click("#tokens button")
    page.wait_for_url("**/account")
    assert page.query_selector("#tokens") is None


def test_another_site_changes_nothing(page, site):
    """A form of a page elsewhere, sent by a browser that is signed in here."""
    sign_in(page, site, "alice")
    elsewhere = site.server.address.replace("127.0.0.1", "localhost")
    for cookie in page.context.cookies():
        assert cookie["domain"] == "127.0.0.1"
    page.goto(f"{elsewhere}/healthz")
    page.evaluate(
        """target => {
            const form = document.createElement('form');
            form.method = 'post'; form.action = target;
            const field = document.createElement('input');
            field.name = 'name'; field.value = 'stolen';
            form.append(field); document.body.append(form); form.submit();
        }""",
        f"{site.server.address}/account/tokens",
    )
    page.wait_for_url("**/account/tokens")
    assert json.loads(site.server.run("token", "list", "alice", "--json")) == []
