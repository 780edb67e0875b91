"""Pages: their caps, and cursors that somebody made up."""

from __future__ import annotations

import base64
import itertools
import json
from urllib.parse import quote

import pytest

from repocore.model import Action, Binding, Rule

LISTS = [
    "repositories",
    "repositories/conan/main/packages",
    "repositories/conan/main/releases",
    "repositories/conan/main/files",
    "jobs",
    "jobs/kinds",
    "accounts",
    "groups",
    "tokens",
    "roles",
    "bindings",
    "access/who?what=conan/main",
    "rules",
    "events",
    "replication/access",
    "replication/partitions",
    "replication/records",
    "replication/downloads",
    "replication/repositories/1/files",
]


def cursor(*place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


MADE_UP = [
    "", "x", "%00", "é", "!", "a" * 5000, cursor(), cursor({}), cursor(None), cursor(True),
    cursor(1, 2, 3), cursor(1 << 80), cursor("a\0", "b"), cursor("\ud800"), cursor([1]),
    base64.urlsafe_b64encode(b"[" * 3000).decode(),
]  # fmt: skip


def test_every_list_of_the_api_is_here(house) -> None:
    """A new one is added to those below."""
    told = {
        path.removeprefix("/api/v1/")
        for path, methods in house.document["paths"].items()
        for parameter in methods.get("get", {}).get("parameters", ())
        if parameter["name"] == "cursor"
    }
    known = {one.partition("?")[0].replace("conan/main", "{format}/{name}") for one in LISTS}
    known = {one.replace("/1/", "/{number}/") for one in known}
    assert told == {*known, "repositories/{format}/{name}/packages/{package}/versions"}


@pytest.fixture
def stocked(house):
    """Some of each thing that is listed."""
    for place, rrev in itertools.product(("zlib/1.3/_/_", "zlib/1.4/_/_", "bzip2/1.0/_/_"), "ab"):
        house.recipe(place, rrev)
    admin = house.admin
    admin.repositories.create("conan/other")
    for name in ("carl", "bob"):
        for turn in ("one", "two"):
            admin.accounts.add_to_group(turn, name)
            admin.accounts.create_token(name, turn)
            admin.accounts.add_rule(
                Rule(subject=f"user:{name}", actions={Action.READ}, pattern=f"conan/{turn}")
            )
            admin.roles.bind(Binding(subject=f"user:{name}", role="viewer", pattern="conan/main"))
    for kind in ("gc", "check"):
        admin.jobs.submit(kind)
    return house


@pytest.mark.parametrize("path", [*LISTS, "repositories/conan/main/packages/zlib/versions"])
def test_small_pages_are_the_large_one(stocked, path) -> None:
    """Each entry once, in the same order, however many a page has."""
    mark = "&" if "?" in path else "?"
    whole = stocked.walk(path)
    told = [json.dumps(one, sort_keys=True) for one in whole]
    assert len({*told}) == len(told)
    for limit in (1, 2, 3):
        assert stocked.walk(f"{path}{mark}limit={limit}") == whole


def asked(house, path: str, query: str):
    return house.send(f"{path}{'&' if '?' in path else '?'}{query}")


def test_limits_have_a_cap(house) -> None:
    """Up to the setting, and more than nothing."""
    for path in LISTS:
        assert asked(house, path, "limit=50").status == 200
        for limit in ("51", "0", "-1", "x", "1e1", "9" * 30, ""):
            answer = asked(house, path, f"limit={limit}")
            assert answer.status == 422, (path, limit)
            assert "`limit`" in json.loads(answer.body)["errors"][0]["detail"]
        assert "50" in json.loads(asked(house, path, "limit=51").body)["detail"]


def test_cursors_of_no_list_are_refused(house) -> None:
    """With what to do; none of them is an error of the server."""
    for path in LISTS:
        for made_up in MADE_UP:
            given = made_up if made_up == "%00" else quote(made_up)
            assert asked(house, path, f"cursor={given}").status in {400, 422}, (path, made_up)


def test_cursors_that_fit_give_a_page(house) -> None:
    """Of what one may read, whatever place they name."""
    places = [cursor("zz"), cursor("a", "b"), cursor(10**15), cursor(-5)]
    places += [cursor(0, "[7]"), cursor(1, "noarch", "a", 3)]
    for path in LISTS:
        statuses = [asked(house, path, f"cursor={quote(made)}").status for made in places]
        assert statuses.count(200) in {1, 2}, path
        assert set(statuses) == {200, 422}, path


def test_unknown_words_of_a_query_are_told(house) -> None:
    """A filter that is mistyped does not mean everything."""
    for path in LISTS:
        answer = asked(house, path, "filtre=1")
        assert answer.status == 422, path
        assert "'filtre'" in json.loads(answer.body)["errors"][0]["detail"]


def test_the_next_page_keeps_the_question(house) -> None:
    """Its address has the other words of the query, and no token."""
    for name in ("a", "b", "c"):
        house.admin.repositories.create(f"conda/{name}")
    _, secret = house.admin.accounts.create_token("ann", "t")
    answer = house.ask("repositories?format=conda&limit=2", HTTP_X_API_KEY=secret)
    link = answer.headers["link"]
    assert link.startswith("<http://server.example/api/v1/repositories?format=conda&limit=2&")
    assert secret not in link
