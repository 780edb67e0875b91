"""Who a request is from that brings no credentials of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from wsgi_calls import Answer, basic, call

import repocore
from repocore import Principal, Registry
from repocore.config import Settings, WebSettings
from repocore.cookies import csrf_word
from repocore_web import create_app

PROXY = "10.0.0.1"
FORM = "application/x-www-form-urlencoded"
ROLE = b'{"actions": ["read"]}'
FRONT = {
    "trusted_proxies": (PROXY,),
    "user_header": "X-Remote-User",
    "groups_header": "X-Remote-Groups",
    "email_header": "X-Remote-Email",
}


@attrs.frozen
class Door:
    app: Any
    registry: Registry

    @property
    def admin(self) -> Any:
        return self.registry.session(self.registry.admin())

    def cookie(self, name: str = "ann") -> str:
        return self.admin.sign_ins.start(Principal(name=name, via="password"))

    def ask(self, path: str = "/api/v1/roles", method: str = "GET", **fields: Any) -> Answer:
        return call(self.app, path, method, **fields)

    def put(self, **fields: Any) -> int:
        """A change that Ann may make."""
        return self.ask("/api/v1/roles/tester", "PUT", body=ROLE, **fields).status


@pytest.fixture
def open_door(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    opened: list[Registry] = []

    def make(**web: Any) -> Door:
        settings = Settings(data=tmp_path, web=WebSettings(**web))
        opened.append(repocore.open_registry(settings=settings))
        made = Door(create_app(opened[-1]), opened[-1])
        made.admin.accounts.add("ann", "right")
        made.admin.accounts.add("bob", "right")
        made.admin.roles.bind(repocore.Binding(subject="user:ann", role="owner"))
        return made

    yield make
    for registry in opened:
        registry.close()


@pytest.fixture
def door(open_door) -> Door:
    return open_door()


def test_a_cookie_reads(door):
    """On every route, also the API's."""
    assert door.ask().status == 401
    assert door.ask(HTTP_COOKIE=f"a=b; repocore_session={door.cookie()}; c=d").status == 200


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", '"', "\xff", "x; repocore_session=y"])
def test_a_cookie_that_is_worth_nothing_is_none(door, cookie):
    """Whoever has it is a stranger, and can still sign in."""
    assert door.ask(HTTP_COOKIE=f"repocore_session={cookie}").status == 401
    assert door.ask("/auth/login", HTTP_COOKIE=f"repocore_session={cookie}").status == 200


def test_an_old_cookie_is_no_guess(door):
    """However often a browser sends it, nobody at its address is kept out."""
    token = door.cookie()
    door.admin.sign_ins.end(token)
    for _ in range(150):
        assert door.ask(HTTP_COOKIE=f"repocore_session={token}").status == 401
    assert door.ask(HTTP_AUTHORIZATION=basic("ann", "right")).status == 200


def test_two_cookies_are_none(door):
    """A neighbour's domain may have set one of them."""
    ann, bob = door.cookie(), door.cookie("bob")
    assert door.ask(HTTP_COOKIE=f"repocore_session={ann}; repocore_session={bob}").status == 401
    assert door.ask(HTTP_COOKIE=f"repocore_session={ann}; repocore_session={ann}").status == 200


def test_credentials_of_the_request_go_first(door):
    """Right ones and wrong ones: a cookie does not help out."""
    cookie = {"HTTP_COOKIE": f"repocore_session={door.cookie()}"}
    assert door.put(**cookie, HTTP_AUTHORIZATION=basic("bob", "right")) in {403, 404}
    assert door.ask(**cookie, HTTP_AUTHORIZATION=basic("ann", "wrong")).status == 401
    assert door.put(**cookie, HTTP_AUTHORIZATION=basic("ann", "right")) == 200


def test_a_change_has_to_be_meant(door):
    """A cookie alone changes nothing: another site can make a browser send it (T21)."""
    token = door.cookie()
    cookie = {"HTTP_COOKIE": f"repocore_session={token}"}
    assert door.put(**cookie) == 403
    assert door.put(**cookie, CONTENT_TYPE="text/plain") == 403
    assert door.put(**cookie, CONTENT_TYPE=FORM) == 403
    assert door.put(**cookie, HTTP_X_CSRF_TOKEN="x") == 403
    assert door.put(**cookie, HTTP_X_CSRF_TOKEN=csrf_word("other")) == 403
    assert door.put(**cookie, HTTP_X_CSRF_TOKEN=token) == 403
    assert "tester" not in {role.name for role in door.admin.roles.list()}
    assert door.put(**cookie, HTTP_X_CSRF_TOKEN=csrf_word(token)) == 200
    assert door.put(**cookie, HTTP_X_REQUESTED_WITH="fetch") == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_route_changes_anything_by_a_cookie_alone(door, method):
    """Each that is not for reading, of every plugin, before it is asked."""
    cookie = {"HTTP_COOKIE": f"repocore_session={door.cookie()}"}
    routes = [one for one in door.registry.routes() if one.method == method]
    for route in routes:
        path = "".join(f"/{part}" for part in route.template.split("/")[1:])
        filled = path.replace("{", "").replace(":path}", "").replace("}", "")
        if route.format:
            filled = f"/{route.format}/main{filled}"
        answer = door.ask(filled, method, body=b"{}", **cookie)
        assert answer.status in {400, 403}, (route.method, filled, answer.status)


def test_a_form_brings_its_word(door):
    """And its fields are still there for whom it is meant."""
    token = door.cookie()
    body = f"csrf={csrf_word(token)}&name=laptop&days=1".encode()
    cookie = {"HTTP_COOKIE": f"repocore_session={token}", "CONTENT_TYPE": FORM}
    assert door.ask("/account/tokens", "POST", body=body, **cookie).status == 200
    assert [one.name for one in door.admin.accounts.tokens("ann")] == ["laptop"]
    long = body + b"&x=" + b"x" * 70_000
    assert door.ask("/account/tokens", "POST", body=long, **cookie).status == 403


def named(door: Door, who: str, **fields: Any) -> Answer:
    given = {"REMOTE_ADDR": PROXY, "HTTP_X_REMOTE_USER": who}
    return door.ask(**{"path": "/account", **given, **fields})


def test_a_trusted_proxy_names_people(open_door):
    """With their groups, besides those that their account has."""
    door = open_door(**FRONT)
    door.admin.roles.bind(repocore.Binding(subject="group:ops", role="owner"))
    assert '<strong id="name">zoe</strong>' in named(door, "zoe").text
    fields = {"REMOTE_ADDR": PROXY, "HTTP_X_REMOTE_USER": "zoe"}
    assert door.put(**fields) in {403, 404}
    assert door.put(**fields, HTTP_X_REMOTE_GROUPS="devs, ops") == 200


@pytest.mark.parametrize("peer", ["192.0.2.7", "127.0.0.1", "", "10.0.0.2", "::1"])
def test_nobody_else_names_anybody(open_door, peer):
    """Whatever they write into whichever field (T20)."""
    door = open_door(**FRONT)
    fields = {
        "REMOTE_ADDR": peer, "REMOTE_USER": "ann", "HTTP_X_REMOTE_USER": "ann",
        "HTTP_REMOTE_USER": "ann", "HTTP_X_FORWARDED_USER": "ann", "HTTP_X_FORWARDED_FOR": PROXY,
        "HTTP_X_REAL_IP": PROXY, "HTTP_FORWARDED": f"for={PROXY}",
    }  # fmt: skip
    assert door.ask(**fields).status == 401


@pytest.mark.parametrize(
    "web", [{}, {"trusted_proxies": (PROXY,)}, {"user_header": "X-Remote-User"}]
)
def test_without_the_settings_nobody_is_named(open_door, web):
    """Both of them: the field, and the proxies that may fill it."""
    fields = {"REMOTE_ADDR": PROXY, "HTTP_X_REMOTE_USER": "ann", "REMOTE_USER": "ann"}
    assert open_door(**web).ask(**fields).status == 401


@pytest.mark.parametrize(
    "who",
    ["mallory,ann", "ann, ann", "ann mallory", "../ann", "anonymous", "\xff", "x" * 101, "a\tb"],
)
def test_a_name_that_was_added_to_is_refused(open_door, who):
    """A field that was sent twice, in whichever spelling, arrives as one with a comma."""
    assert named(open_door(**FRONT), who).status == 401


def test_an_empty_name_is_none(open_door):
    """The proxy has let a stranger through."""
    door = open_door(**FRONT)
    assert named(door, "  ", path="/api/v1/roles").status == 401
    assert named(door, "", path="/healthz").status == 200


def test_who_is_named_gets_an_account(open_door):
    """Where the settings say so, once."""
    door = open_door(**FRONT, user_create=True)
    for _ in range(2):
        assert named(door, "zoe", HTTP_X_REMOTE_EMAIL="zoe@team.example").status == 200
    assert door.admin.accounts.get("zoe").email == "zoe@team.example"


def test_who_is_named_gets_none_otherwise(open_door):
    """And a disabled account stays disabled."""
    door = open_door(**FRONT)
    named(door, "zoe")
    assert {one.name for one in door.admin.accounts.list()} == {"ann", "bob"}
    door.admin.accounts.disable("ann")
    assert named(door, "ann").status == 401


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"HTTP_ORIGIN": "http://server.example"}, 200),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, 200),
        ({"HTTP_ORIGIN": "https://evil.example"}, 403),
        ({"HTTP_ORIGIN": "null"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, 403),
    ],
)
def test_another_site_changes_nothing_through_a_proxy(open_door, fields, status):
    """A browser that the proxy has signed in tells where its request comes from."""
    given = {"REMOTE_ADDR": PROXY, "HTTP_X_REMOTE_USER": "ann", **fields}
    assert open_door(**FRONT).put(**given) == status


def test_a_named_person_goes_before_a_cookie(open_door):
    """The proxy knows better who is there."""
    door = open_door(**FRONT)
    answer = named(door, "bob", HTTP_COOKIE=f"repocore_session={door.cookie()}")
    assert '<strong id="name">bob</strong>' in answer.text
