"""``/api/v1/releases``: what people do to releases, over HTTP."""

from __future__ import annotations

import io
import json
from typing import Any

import attrs
import pytest
from described_api import DescribedApi
from tests_manifest import manifest
from wsgi_calls import Answer, basic, call

from repocore import Registry, Rule, actions_of
from repocore_web import create_app

MAIN = "conan/main"
STABLE = "conan/stable"
ZLIB = "zlib/1.3@_/_"


@attrs.frozen
class Api:
    """The application, and the same three revisions as ever."""

    app: Any
    registry: Registry

    def post(self, verb: str, body: object, who: str | None = "ann") -> Answer:
        fields = {} if who is None else {"HTTP_AUTHORIZATION": basic(who, "right")}
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return call(self.app, f"/api/v1/releases/{verb}", "POST", body=text, **fields)

    def named(self, *names: str, **more: str) -> dict[str, Any]:
        releases = [{"partition": ZLIB, "name": name} for name in names]
        return {"repository": MAIN, "releases": releases, **more}

    def listed(self, address: str = MAIN) -> list[str]:
        """Oldest first."""
        room = self.registry.session(self.registry.admin()).releases
        return [one.name for one in room.list(address, ZLIB)][::-1]


@pytest.fixture
def api(registry: Registry) -> Api:
    """Ann may do everything but promote, Bob may read."""
    admin = registry.session(registry.admin())
    admin.repositories.create(STABLE)
    for name in ("r1", "r2", "r3"):
        base = f"zlib/1.3/_/_/{name}/export"
        admin.files.put(MAIN, f"{base}/conanfile.py", io.BytesIO(name.encode()))
        admin.files.put(MAIN, f"{base}/conanmanifest.txt", io.BytesIO(manifest("conanfile.py")))
    admin.accounts.set_password("bob", "right")
    for subject, actions in (
        ("user:ann", "read,write,yank,delete"),
        ("user:bob", "read"),
    ):
        granted = actions_of(actions.split(","))
        admin.accounts.add_rule(Rule(subject=subject, actions=granted, pattern="conan/**"))
    return Api(create_app(registry), registry)


def test_yanked_releases_are_out_of_the_lists_until_they_are_put_back(api: Api) -> None:
    """The answer says what became of each."""
    answer = api.post("yank", api.named("r1", "r2"))
    assert answer.status == 200
    told = json.loads(answer.body)["releases"]
    assert [(one["name"], one["package"], one["version"]) for one in told] == [
        ("r1", "zlib", "1.3@_/_"),
        ("r2", "zlib", "1.3@_/_"),
    ]
    assert all(one["yanked_at"].endswith("+00:00") for one in told)
    assert api.listed() == ["r3"]
    back = json.loads(api.post("unyank", api.named("r2")).body)["releases"]
    assert [one["yanked_at"] for one in back] == [None]
    assert api.listed() == ["r2", "r3"]


def test_deleted_releases_are_gone(api: Api) -> None:
    """All that are named, or, where one is missing, none."""
    missing = api.post("delete", api.named("r1", "r9"))
    told = json.loads(missing.body)["detail"]
    assert (missing.status, told) == (404, f"There is no r9 in {ZLIB}; nothing was changed.")
    assert api.listed() == ["r1", "r2", "r3"]
    answer = api.post("delete", api.named("r1", "r3"))
    assert (answer.status, json.loads(answer.body)) == (200, {"deleted": 2})
    assert api.listed() == ["r2"]


def test_copies_are_in_both(api: Api) -> None:
    """The answer names the files as they are in the target."""
    answer = api.post("copy", api.named("r2", target=STABLE))
    told = json.loads(answer.body)
    assert (answer.status, told["repository"]) == (200, STABLE)
    assert [file["path"] for file in told["files"]] == [
        "zlib/1.3/_/_/r2/export/conanfile.py",
        "zlib/1.3/_/_/r2/export/conanmanifest.txt",
    ]
    assert api.listed(STABLE) == ["r2"]
    assert api.listed() == ["r1", "r2", "r3"]


def test_to_promote_is_a_permission_of_its_own(api: Api) -> None:
    """WRITE of the target is not enough for it, and it needs no WRITE."""
    promoted = api.named("r2", target=STABLE)
    assert api.post("promote", promoted).status == 403
    api.registry.session(api.registry.admin()).accounts.add_rule(
        Rule(subject="user:bob", actions=actions_of(["promote"]), pattern=f"{STABLE}/**")
    )
    assert api.post("copy", promoted, "bob").status == 403
    assert api.post("promote", promoted, "bob").status == 200
    assert api.listed(STABLE) == ["r2"]


@pytest.mark.parametrize("verb", ["yank", "unyank", "delete", "copy", "promote"])
def test_each_needs_its_permission(api: Api, verb: str) -> None:
    """A reader may do nothing of it; nobody without a name learns anything."""
    more = {"target": STABLE} if verb in {"copy", "promote"} else {}
    body = api.named("r1", **more)
    assert api.post(verb, body, "bob").status == 403
    assert api.post(verb, body, None).status == 401
    assert api.post(verb, {**body, "repository": "conan/other"}, None).status == 401
    elsewhere = dict.fromkeys(("repository", *more), "conda/other")
    hidden = api.post(verb, {**body, **elsewhere}, "bob")
    assert (hidden.status, json.loads(hidden.body)["detail"]) == (404, "Not found.")
    assert api.listed() == ["r1", "r2", "r3"]
    assert api.listed(STABLE) == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 100_000,
        b"\xff",
        [],
        {},
        {"repository": MAIN},
        {"repository": MAIN, "releases": []},
        {"repository": MAIN, "releases": [[ZLIB, "r1"]]},
        {"repository": MAIN, "releases": [{"partition": ZLIB}]},
        {"repository": MAIN, "releases": [{"partition": ZLIB, "name": 1}]},
        {"repository": MAIN, "releases": [{"partition": ZLIB, "name": "r1", "force": True}]},
        {"repository": MAIN, "releases": [{"partition": ZLIB, "name": "r\0"}]},
        {"repository": MAIN, "releases": [{"partition": "\ud800", "name": "r1"}]},
        {"repository": 3, "releases": [{"partition": ZLIB, "name": "r1"}]},
        {"repository": MAIN, "releases": [{"partition": ZLIB, "name": "r1"}], "target": STABLE},
        {"repository": MAIN, "releases": [{"partition": ZLIB, "name": str(n)} for n in range(501)]},
    ],
)
def test_a_wrong_request_is_told_what_it_should_be(api: Api, body: object) -> None:
    """One sentence, and nothing happens."""
    answer = api.post("delete", body)
    assert answer.status == 422
    assert json.loads(answer.body)["detail"].endswith(".")
    assert api.listed() == ["r1", "r2", "r3"]


def test_a_long_request_is_refused(api: Api) -> None:
    """Before it is taken apart."""
    assert api.post("delete", b" " * ((1 << 20) + 1)).status == 413


def test_a_bad_address_is_no_address(api: Api) -> None:
    """As everywhere else: 400."""
    assert api.post("delete", {**api.named("r1"), "repository": "main"}).status == 400
    assert api.post("copy", api.named("r1", target="conan/../x")).status == 400


def test_releases_are_listed_one_by_one(api: Api) -> None:
    """By partition and name, in pages, with filters; yanked ones are marked."""
    house = DescribedApi(api.app)
    signed = {"HTTP_AUTHORIZATION": basic("ann", "right")}
    top = f"repositories/{MAIN}/releases"
    api.post("yank", api.named("r2"))

    def names(query: str) -> list[str]:
        found, cursor = [], ""
        while cursor is not None:
            page = json.loads(house.ask(f"{top}?limit=1&{query}{cursor}", **signed).body)
            found += [one["name"] for one in page["items"]]
            cursor = page["next"] and f"&cursor={page['next']}"
        return found

    assert names("") == ["r1", "r2", "r3"]
    assert names("yanked=true") == ["r2"]
    assert names("yanked=false&package=zlib&version=1.3@_/_") == ["r1", "r3"]
    assert names(f"partition={ZLIB}") == ["r1", "r2", "r3"]
    assert names("partition=zlib/1.2@_/_") == names("package=none") == []
    assert house.ask(f"{top}?yanked=yes", **signed).status == 422


def test_a_release_is_shown_and_deleted(api: Api) -> None:
    """By its partition, which has slashes, and its name."""
    house = DescribedApi(api.app)
    signed = {"HTTP_AUTHORIZATION": basic("ann", "right")}
    path = f"repositories/{MAIN}/releases/{ZLIB}/r2"
    answer = house.ask(path, **signed)
    told = json.loads(answer.body)
    assert (told["package"], told["name"], len(told["files"])) == ("zlib", "r2", 2)
    assert isinstance(told["record"], dict)
    assert house.ask(path, "DELETE", HTTP_IF_MATCH='"x"', **signed).status == 412
    tag = answer.headers["etag"]
    assert house.ask(path, "DELETE", HTTP_IF_MATCH=tag, **signed).status == 204
    assert api.listed() == ["r1", "r3"]
    for missing in (path, f"repositories/{MAIN}/releases/r2"):
        assert house.ask(missing, **signed).status == 404
        assert house.ask(missing, "DELETE", **signed).status == 404
