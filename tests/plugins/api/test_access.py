"""``/api/v1/roles``, ``bindings`` and ``access``: the rooms, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from wsgi_calls import Answer, basic, call

from repocore import Registry
from repocore.model import Binding
from repocore_web import create_app


@attrs.frozen
class Api:
    app: Any

    def ask(
        self, path: str, method: str = "GET", body: object = None, who: str | None = "ann"
    ) -> Answer:
        fields = {} if who is None else {"HTTP_AUTHORIZATION": basic(who, "right")}
        path, _, query = path.partition("?")
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {} if body is None else {"body": text}
        return call(self.app, f"/api/v1/{path}", method, QUERY_STRING=query, **sent, **fields)

    def value(self, *given: Any, **more: Any) -> Any:
        answer = self.ask(*given, **more)
        assert answer.status in {200, 201}, answer.text
        return json.loads(answer.body)


@pytest.fixture
def api(registry: Registry) -> Api:
    """Ann owns everything, Bob owns conan/main, Carl holds nothing."""
    admin = registry.session(registry.admin())
    for name in ("bob", "carl"):
        if name not in {account.name for account in admin.accounts.list()}:
            admin.accounts.add(name)
        admin.accounts.set_password(name, "right")
    admin.roles.bind(Binding(subject="user:ann", role="owner"))
    admin.roles.bind(Binding(subject="user:bob", role="owner", pattern="conan/main"))
    return Api(create_app(registry))


def test_a_role_is_made_listed_and_removed(api) -> None:
    """PUT says what it is now; 404 once it is gone."""
    body = {"actions": ["write", "read"], "description": "Uploads."}
    made = api.value("roles/uploader", "PUT", body)
    assert made == {"name": "uploader", "actions": ["read", "write"], "description": "Uploads."}
    assert made in api.value("roles")["roles"]
    assert api.value("roles/uploader", "PUT", {"actions": ["read"]})["actions"] == ["read"]
    assert api.ask("roles/uploader", "DELETE").status == 204
    assert api.ask("roles/uploader", "DELETE").status == 404
    assert api.ask("roles/viewer", "DELETE").status == 422


def test_a_role_is_given_and_taken_back(api) -> None:
    """By an owner of the repository, who sees the bindings there and no others."""
    body = {"subject": "user:carl", "role": "editor", "pattern": "conan/main"}
    made = api.value("bindings", "POST", body, "bob")
    listed = api.value("bindings", who="bob")["bindings"]
    assert made in listed
    assert {one["pattern"] for one in listed} == {"conan/main"}
    assert len(api.value("bindings")["bindings"]) == 3
    refused = api.ask("bindings", "POST", {**body, "pattern": "conan/other"}, "bob")
    assert refused.status in {403, 404}
    number = made["id"]
    assert api.ask(f"bindings/{number}", "DELETE", who="carl").status in {403, 404}
    assert api.ask(f"bindings/{number}", "DELETE", who="bob").status == 204
    assert api.ask(f"bindings/{number}", "DELETE").status == 404
    assert api.ask("bindings/x1", "DELETE").status == 404


def test_what_decides_is_told(api) -> None:
    """For oneself to everybody, for others to who manages."""
    path = "access/explain?who=bob&action=write&what=conan/main/zlib"
    told = api.value(path, who="bob")
    assert (told["allowed"], told["tier"], told["action"]) == (True, "role", "write")
    assert "user:bob holds owner on conan/main" in told["text"]
    assert api.ask(path, who="carl").status in {403, 404}
    assert api.value("access/explain?who=zoe&group=crew&action=read&what=conan/main")["tier"] == (
        "nothing"
    )
    assert api.value("access/explain?action=admin&what=site")["allowed"] is False


def test_everybody_who_may_is_told(api) -> None:
    """Each action with the tier that decides."""
    holders = {
        one["name"]: one["actions"] for one in api.value("access/who?what=conan/main")["holders"]
    }
    assert holders["bob"]["manage"] == "role"
    assert "carl" not in holders or "manage" not in holders["carl"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "roles/a", {"actions": "read"}),
        ("PUT", "roles/a", {"actions": [1]}),
        ("PUT", "roles/a", {"actions": ["fly"]}),
        ("PUT", "roles/a", {"actions": []}),
        ("PUT", "roles/A%20b", {"actions": ["read"]}),
        ("POST", "bindings", {"subject": "user:carl"}),
        ("POST", "bindings", {"subject": "carl", "role": "editor"}),
        ("POST", "bindings", {"subject": "user:carl", "role": "janitor"}),
        ("POST", "bindings", {"subject": "*", "role": "viewer", "colour": "red"}),
        ("POST", "bindings", b"{"),
        ("POST", "bindings", [1]),
        ("GET", "access/explain?who=bob&action=fly&what=conan/main", None),
        ("GET", "access/explain?who=bob&action=all&what=conan/main", None),
        ("GET", "access/who?what=conan", None),
    ],
)
def test_mistakes_are_told(api, method, path, body) -> None:
    """With a sentence, and without a trace of the server."""
    answer = api.ask(path, method, body)
    assert answer.status in {400, 422}
    assert answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "roles"), ("GET", "bindings"), ("GET", "access/who"), ("DELETE", "bindings/1")],
)
def test_strangers_are_asked_who_they_are(api, method, path) -> None:
    """Nobody learns who may what without signing in."""
    assert api.ask(path, method, who=None).status == 401


def test_a_role_is_made_or_changed_on_conditions(api) -> None:
    """Only where it is not there, or is as one saw it."""
    body = {"actions": ["read"]}

    def put(actions: list[str], **fields: str) -> Answer:
        signed = {"HTTP_AUTHORIZATION": basic("ann", "right"), **fields}
        text = json.dumps({"actions": actions}).encode()
        return call(api.app, "/api/v1/roles/uploader", "PUT", body=text, **signed)

    assert api.ask("roles/uploader").status == 404
    assert put(["read"], HTTP_IF_MATCH="*").status == 412
    made = put(["read"], HTTP_IF_NONE_MATCH="*")
    assert made.status == 200
    assert put(["write"], HTTP_IF_NONE_MATCH="*").status == 412
    assert put(["write"], HTTP_IF_MATCH='"x"').status == 412
    assert api.value("roles/uploader")["actions"] == body["actions"]
    assert put(["write"], HTTP_IF_MATCH=made.headers["etag"]).status == 200
    assert api.ask("roles/uploader").headers["etag"] != made.headers["etag"]
    assert api.ask("roles/uploader", "PUT", body, "carl").status in {403, 404}


def test_lists_of_access_have_pages(api) -> None:
    """And their entries under the names of old."""
    first = api.value("roles?limit=3")
    second = api.value(f"roles?limit=3&cursor={first['next']}")
    assert first["roles"] == first["items"]
    assert [one["name"] for one in first["items"] + second["items"]] == [
        "viewer", "editor", "maintainer", "owner"
    ]  # fmt: skip
    assert second["next"] is None
    bindings = api.value("bindings?limit=1")
    assert bindings["items"] != api.value(f"bindings?cursor={bindings['next']}")["items"]
    holders = api.value("access/who?what=conan/main&limit=1")
    assert len(holders["items"]) == 1
    assert holders["next"]
