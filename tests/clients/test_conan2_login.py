"""Who the real Conan 2 client may be, and what it is told when it may not."""

from __future__ import annotations

import time

import pytest
from live_server import live_server
from recorder import recording

pytestmark = pytest.mark.clients
ASKED = "Remote 'house' needs authentication, obtaining credentials"


def authentications(exchanges):
    return [passed.status for passed in exchanges if passed.path.endswith("/users/authenticate")]


def test_login_stores_a_token_that_the_server_knows(conan):
    """After `remote login` with the right password, `remote auth` finds the client signed in."""
    client = conan()
    client.run("remote", "login", "house", "writer", "-p", "low-water")
    assert client.json("remote", "auth", "house")["house"] == {"user": "writer"}
    (known,) = client.json("remote", "list-users")
    assert known["user_name"] == "writer"
    assert known["authenticated"]


def test_wrong_password_is_refused_once(conan, server):
    """A wrong password ends `remote login` with one request and one sentence."""
    with recording(server.remote) as (address, exchanges):
        client = conan(remote=address)
        said = client.refused("remote", "login", "house", "writer", "-p", "wrong")
    assert "Wrong user or password" in said or "Authentication error" in said
    assert authentications(exchanges) == [401]


@pytest.mark.slow
def test_unknown_user_is_refused_like_a_wrong_password(conan):
    """The client cannot tell an unknown user from a wrong password."""
    client = conan()
    known = client.refused("remote", "login", "house", "writer", "-p", "wrong")
    unknown = client.refused("remote", "login", "house", "nobody", "-p", "wrong")
    assert unknown.replace("nobody", "writer") == known


@pytest.mark.slow
def test_credentials_of_the_environment_sign_in(conan):
    """User and password of the environment are used when the server asks for them."""
    client = conan()
    conan.note(client, "environed/1.0", "text")
    words = {"CONAN_LOGIN_USERNAME": "writer", "CONAN_PASSWORD_HOUSE": "low-water"}
    client.run("upload", "environed/1.0", "-r=house", "-c", environment=words)
    assert set(client.listed("environed/*")) == {"environed/1.0"}


@pytest.mark.slow
def test_logout_makes_the_client_anonymous(conan):
    """After `remote logout` an upload asks for a password again."""
    client = conan()
    client.run("remote", "login", "house", "writer", "-p", "low-water")
    client.run("remote", "logout", "house")
    conan.note(client, "goodbye/1.0", "gone")
    assert "interactive mode disabled" in client.refused("upload", "goodbye/1.0", "-r=house", "-c")


@pytest.mark.slow
def test_api_token_in_the_place_of_a_password_keeps_its_scope(conan, server):
    """A client that signs in with a token may do what the token may, and no more."""
    allowed = ("read:conan/main/**", "write:conan/main/scoped/**")
    secret = server.add_token("writer", *allowed)
    client = conan()
    client.run("remote", "login", "house", "writer", "-p", secret)
    for name in ("scoped", "elsewhere"):
        conan.note(client, f"{name}/1.0", "text")
    client.run("upload", "scoped/1.0", "-r=house", "-c")
    assert set(client.listed("scoped/*")) == {"scoped/1.0"}
    said = client.refused("upload", "elsewhere/1.0", "-r=house", "-c")
    assert "Permission denied for user: 'writer'" in said
    assert not conan().listed("elsewhere/*")


@pytest.mark.slow
def test_denied_write_says_who_was_denied(conan, server):
    """A signed-in user without a rule is told so at once, and nothing becomes visible."""
    with recording(server.remote) as (address, exchanges):
        client = conan("reader", remote=address)
        conan.note(client, "denied/1.0", "not yours")
        said = client.refused("upload", "denied/1.0", "-r=house", "-c")
    assert "Permission denied for user: 'reader'" in said
    assert authentications(exchanges) == [200]
    assert not conan().listed("denied/*")


@pytest.mark.slow
def test_anonymous_write_asks_for_a_password(conan):
    """A client without a user is asked to sign in, and nothing becomes visible."""
    client = conan()
    conan.note(client, "nameless/1.0", "whose?")
    said = client.refused("upload", "nameless/1.0", "-r=house", "-c")
    assert "interactive mode disabled" in said
    assert not client.listed("nameless/*")


def test_expired_token_is_renewed_with_known_credentials(conan, tmp_path):
    """With a password at hand, a client whose token has expired signs in again and goes on."""
    with live_server(tmp_path / "brief", token_seconds=1) as brief:
        client = conan("admin", remote=brief.remote)
        conan.note(client, "late/1.0", "early")
        client.run("upload", "late/1.0", "-r=house", "-c")
        time.sleep(2.1)
        conan.note(client, "late/1.1", "late")
        said = client.run("upload", "late/1.1", "-r=house", "-c").messages
        assert ASKED in said
        assert set(client.listed("late/*")) == {"late/1.0", "late/1.1"}


@pytest.mark.slow
def test_expired_token_is_an_error_without_credentials(conan, tmp_path):
    """Without a password, an expired token is refused even where anonymous clients may read."""
    with live_server(tmp_path / "brief", token_seconds=1) as brief:
        client = conan(remote=brief.remote)
        client.run("remote", "login", "house", "admin", "-p", brief.password)
        time.sleep(2.1)
        found = client.json("list", "anything/*", "-r=house")["house"]
        assert "interactive mode disabled" in found["error"]
        assert "error" not in conan(remote=brief.remote).json("list", "*", "-r=house")["house"]


@pytest.mark.slow
def test_a_token_of_another_server_is_replaced(conan, tmp_path):
    """A client that kept a token of a server since rebuilt signs in again by itself."""
    with live_server(tmp_path / "first") as first:
        client = conan("admin", remote=first.remote)
        conan.note(client, "moved/1.0", "first")
        client.run("upload", "moved/1.0", "-r=house", "-c")
    with live_server(tmp_path / "second", port=first.port) as second:
        assert second.remote == first.remote
        said = client.run("upload", "moved/1.0", "-r=house", "-c").messages
        assert ASKED in said
        assert set(client.listed("*")) == {"moved/1.0"}


@pytest.mark.slow
def test_packages_that_one_may_not_read_do_not_exist(conan):
    """A package hidden by a rule is in no list, and cannot be installed, except by its reader."""
    admin = conan("admin")
    conan.note(admin, "hidden/1.0", "secret")
    admin.run("upload", "hidden/1.0", "-r=house", "-c")
    assert set(admin.listed("hidden/*")) == {"hidden/1.0"}
    for other in (conan("reader"), conan()):
        assert "hidden/1.0" not in other.listed("*")
        other.refused("install", "--requires=hidden/1.0", "-r=house")
