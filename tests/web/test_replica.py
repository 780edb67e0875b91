"""A replica over HTTP: it serves what its primary has, and tells how far behind it is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from replica_house import Pair, pair
from wsgi_calls import basic, call

import repocore
from repocore import Action, Rule
from repocore.config import WebSettings
from repocore_web import create_app

RECIPE = "/conan/main/v2/conans/zlib/1.3/_/_"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pair]:
    with pair(tmp_path, "sqlite:///catalog.db") as made:
        everything = frozenset(Action)
        made.admin.accounts.add("ann", "correct horse")
        made.admin.accounts.add_rule(Rule(subject="user:ann", actions=everything, pattern="**"))
        read = frozenset({Action.READ})
        made.admin.accounts.add_rule(Rule(subject="*", actions=read, pattern="**"))
        yield made


@pytest.fixture
def site(two: Pair) -> Iterator[Any]:
    """The application of a replica, and its registry."""
    web = WebSettings(metrics=True, metrics_from=("192.0.2.0/24",))
    settings = attrs.evolve(two.settings(), web=web)
    with repocore.open_registry(settings=settings) as replica:
        yield create_app(replica), replica


def ask(site: Any, target: str, method: str = "GET", **fields: Any) -> Any:
    return call(site[0], target, method, **fields)


def test_packages_and_indexes_are_those_of_the_primary(two: Pair, site: Any) -> None:
    """The same bytes, for every client; with the serial of the primary."""
    two.recipe("r1")
    two.package("r1", "p1")
    two.conda("tide")
    two.sync(site[1])
    primary = create_app(two.primary), two.primary
    for target in (
        f"{RECIPE}/latest",
        f"{RECIPE}/revisions/r1/files",
        f"{RECIPE}/revisions/r1/packages/pid/latest",
        "/conan/main/v2/conans/search?q=*",
        "/conda/main/noarch/repodata.json",
        "/conda/main/noarch/tide-1.0-0.tar.bz2",
        "/conda/main/channeldata.json",
        "/api/v1/repositories/conan/main/releases",
    ):
        here, there = ask(site, target), ask(primary, target)
        assert (here.status, here.body) == (there.status, there.body), target
        assert here.status == 200, target
    serial = ask(site, "/conda/main/noarch/repodata.json").headers["x-repocore-serial"]
    assert serial == "1"


def test_people_sign_in_with_what_they_have_at_the_primary(two: Pair, site: Any) -> None:
    """By passwords and tokens; and a login of the Conan client is one of this server."""
    two.sync(site[1])
    signed = {"HTTP_AUTHORIZATION": basic("ann", "correct horse")}
    assert ask(site, "/conan/main/v2/users/check_credentials", **signed).status == 200
    token = ask(site, "/conan/main/v2/users/authenticate", **signed).text
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert ask(site, "/conan/main/v2/users/check_credentials", **bearer).status == 200


def test_changes_are_refused_in_the_words_of_each_protocol(two: Pair, site: Any) -> None:
    """403 with the primary's URL to who might make them, and as ever to who might not."""
    two.sync(site[1])
    signed = {"HTTP_AUTHORIZATION": basic("ann", "correct horse")}
    upload = f"{RECIPE}/revisions/r9/files/conanfile.py"
    body = {"body": io.BytesIO(b"x"), "CONTENT_LENGTH": "1"}
    for target, method, more in (
        (upload, "PUT", body),
        ("/conda/main/noarch/tide-1.0-0.tar.bz2", "DELETE", {}),
        ("/api/v1/repositories", "POST", {"body": b'{"address": "conda/new"}'}),
    ):
        answer = ask(site, target, method, **more, **signed)
        assert answer.status in {403, 404}, (target, answer.text)
        assert answer.status == 404 or two.url in answer.text
        assert ask(site, target, method, **more).status in {401, 403, 404, 405}
    problem = ask(site, "/api/v1/repositories", "POST", body=b'{"address": "conda/new"}', **signed)
    assert (problem.status, "primary" in problem.text) == (403, True)


def test_ready_tells_how_far_behind_it_is(two: Pair, site: Any) -> None:
    """Whoever is behind serves nevertheless, but not before the first copy is through; whom it
    follows is nobody's business.
    """
    answer = ask(site, "/readyz")
    assert (answer.status, "first copy is not through yet" in answer.text) == (503, True)
    two.sync(site[1])
    answer = ask(site, "/readyz")
    assert "\nreplica ok, last even 0 s ago\n" in answer.text
    assert two.url not in answer.text


def test_numbers_of_a_replica_are_bounded(two: Pair, site: Any) -> None:
    """They have no labels; a registry that follows nobody has none of them."""
    two.conda("tide")
    two.sync(site[1])
    told = ask(site, "/metrics", REMOTE_ADDR="192.0.2.7").text
    found = {line.split()[0]: float(line.split()[1]) for line in lines(told)}
    assert found.keys() == {
        f"repocore_replica_{name}"
        for name in (
            "behind_seconds", "behind_records", "behind_partitions", "behind_serials",
            "missing_contents", "failing",
        )
    }  # fmt: skip
    assert found["repocore_replica_behind_records"] == 0
    assert found["repocore_replica_behind_seconds"] < 60


def lines(told: str) -> list[str]:
    return [line for line in told.splitlines() if line.startswith("repocore_replica_")]
