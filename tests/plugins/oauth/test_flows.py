"""There and back: state, PKCE, nonce, and where somebody goes on."""

from __future__ import annotations

from sign_in_house import admin_of, come_back, go, oidc


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
