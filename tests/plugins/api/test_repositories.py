"""``/api/v1/repositories``: the room, over HTTP."""

from __future__ import annotations

import json
import threading

import pytest

from repocore import Binding, Policy

MAIN = "conan/main"
PATH = f"repositories/{MAIN}"
FIELDS = ("address", "description", "private", "policy", "options")
POLICY = ("overwrite", "max_size", "quota", "max_files")


def test_repositories_are_listed_in_pages(house) -> None:
    """By address; each once, and where a page ends its answer names the next."""
    for number in range(7):
        house.admin.repositories.create(f"conda/c{number}")
    found = house.walk("repositories?limit=3")
    assert [one["address"] for one in found] == [MAIN, *(f"conda/c{n}" for n in range(7))]
    answer = house.send("repositories?limit=3")
    cursor = json.loads(answer.body)["next"]
    assert answer.headers["link"] == (
        f'<http://server.example/api/v1/repositories?limit=3&cursor={cursor}>; rel="next"'
    )
    assert "link" not in house.send("repositories").headers
    assert len(house.walk("repositories?format=conda&limit=2")) == 7


def test_a_list_shows_what_one_may_read(house) -> None:
    """And a repository that is hidden is like one that is not there."""
    house.admin.repositories.create("conda/secret")
    assert [one["address"] for one in house.walk("repositories", who="bob")] == [MAIN]
    assert house.walk("repositories", who="carl") == []
    assert house.walk("repositories", who=None) == []
    hidden = house.problem(404, "repositories/conda/secret", who="bob")
    missing = house.problem(404, "repositories/conda/none", who="bob")
    assert {**hidden, "request_id": ""} == {**missing, "request_id": ""}
    assert house.problem(401, PATH, who=None)["title"] == "Not authenticated"


def test_a_repository_is_made(house) -> None:
    """With what was sent; the answer says where it is."""
    body = {
        "address": "conan/new",
        "description": "ours",
        "private": True,
        "policy": {"quota": 1000},
    }
    answer = house.send("repositories", "POST", body)
    made = json.loads(answer.body)
    assert (answer.status, made["policy"]["quota"], made["private"]) == (201, 1000, True)
    assert answer.headers["location"] == "http://server.example/api/v1/repositories/conan/new"
    assert made["url"] == "http://server.example/conan/new"
    assert house.value("repositories/conan/new") == made
    assert house.problem(409, "repositories", "POST", body)["type"].endswith("AlreadyExistsError")
    assert house.send("repositories", "POST", {"address": "conan/mine"}, "carl").status in {
        403,
        404,
    }


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, ["`address` is missing: a text in one line."]),
        (
            {"address": 1, "private": "yes", "colour": 2},
            [
                f"Nobody knows the field 'colour'; there are {', '.join(FIELDS)}.",
                "`address` has to be a text in one line.",
                "`private` has to be true or false.",
            ],
        ),
        (
            {"address": "conan/a", "policy": {"quota": "1", "size": 3}, "options": []},
            [
                f"Nobody knows the field 'policy.size'; there are {', '.join(POLICY)}.",
                "`policy.quota` has to be a whole number.",
                "`options` has to be an object of JSON.",
            ],
        ),
        ({"address": "conan/a", "policy": 3}, None),
        ({"address": "conan/a\n"}, None),
        ({"address": "conan/a", "description": "\ud800"}, None),
        ({"address": "conan/a", "policy": {"quota": 1 << 70}}, None),
        ({"address": "conan/a", "policy": {"quota": True}}, None),
    ],
)
def test_every_mistake_is_told(house, body, problems) -> None:
    """All of them at once, each by its field."""
    told = house.problem(422, "repositories", "POST", body)
    assert told["type"].endswith("#InvalidRequestError")
    if problems is not None:
        assert [one["detail"] for one in told["errors"]] == problems


@pytest.mark.parametrize("body", [b"[1]", b" ", b"{", b'{"address": NaN', b"[" * 5000])
def test_what_is_no_object_is_refused(house, body) -> None:
    """Whatever else it is."""
    assert house.problem(422, "repositories", "POST", body)["title"] == "Rejected"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"address": "npm/a"}, 422),
        ({"address": "conan"}, 400),
        ({"address": "conan/../a"}, 400),
        ({"address": "conan/a", "options": {"x": 1}}, 422),
    ],
)
def test_what_the_room_refuses_is_told(house, body, status) -> None:
    """An unknown format, a bad address, options that a format does not have."""
    assert house.problem(status, "repositories", "POST", body)["detail"]


def test_a_change_keeps_what_was_not_sent(house) -> None:
    """Also inside of the policy and the options; null asks for the default (RFC 7396)."""
    room = house.admin.repositories
    room.create(
        "conda/main",
        description="old",
        policy=Policy(quota=5, max_files=6),
        options={"base_url": "https://cdn.example/main"},
    )
    path = "repositories/conda/main"
    changed = house.value(path, "PATCH", {"policy": {"quota": None, "max_size": 7}})
    assert changed["policy"] == {
        "overwrite": None, "max_size": 7, "quota": None, "max_files": 6
    }  # fmt: skip
    assert (changed["description"], changed["options"]) == (
        "old",
        {"base_url": "https://cdn.example/main"},
    )
    changed = house.value(path, "PATCH", {"description": None, "options": {"base_url": None}})
    assert (changed["description"], changed["options"]) == ("", {})
    assert house.value(path, "PATCH", {"policy": None})["policy"]["max_files"] is None
    assert house.value(path, "PATCH", {}) == house.value(path)
    told = house.problem(422, path, "PATCH", {"private": None, "name": "x"})
    assert len(told["errors"]) == 2


def test_a_change_may_be_for_one_state_only(house) -> None:
    """If-Match with another tag than that of now is 412, for PATCH and DELETE, and does nothing."""
    tag = house.send(PATH).headers["etag"]
    first = house.send(PATH, "PATCH", {"description": "a"}, HTTP_IF_MATCH=tag)
    assert first.status == 200
    assert first.headers["etag"] != tag
    for method in ("PATCH", "DELETE"):
        body = {"description": "b"} if method == "PATCH" else None
        told = house.problem(412, PATH, method, body, HTTP_IF_MATCH=tag)
        assert told["title"] == "Precondition failed"
        weak = f"W/{first.headers['etag']}"
        assert house.send(PATH, method, body, HTTP_IF_MATCH=weak).status == 412
    assert house.value(PATH)["description"] == "a"
    several = f'"x", {first.headers["etag"]}'
    assert house.send(PATH, "PATCH", {"description": "c"}, HTTP_IF_MATCH=several).status == 200
    assert house.send(PATH, "DELETE", HTTP_IF_MATCH="*").status == 204
    assert house.send(PATH, "DELETE", HTTP_IF_MATCH="*").status == 412
    assert house.send(PATH, "DELETE").status == 404


def test_what_one_has_is_not_sent_again(house) -> None:
    """304 to a GET with its tag, weak or not."""
    tag = house.send(PATH).headers["etag"]
    for field in (tag, f"W/{tag}", f'"a", {tag}', "*"):
        again = house.send(PATH, HTTP_IF_NONE_MATCH=field)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
    assert house.send(PATH, HTTP_IF_NONE_MATCH='"other"').status == 200
    assert house.send(PATH).headers["etag"] == tag


def test_changes_at_once_are_all_kept(house) -> None:
    """Merges without a condition lose nothing of each other."""
    fields = ("quota", "max_size", "max_files")
    done: list[int] = []

    def change(field: str) -> None:
        done.append(house.send(PATH, "PATCH", {"policy": {field: 9}}).status)

    threads = [threading.Thread(target=change, args=(field,)) for field in fields]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [200] * 3
    policy = house.value(PATH)["policy"]
    assert [policy[field] for field in fields] == [9] * 3


def test_options_are_for_who_manages(house) -> None:
    """A reader sees that there is a repository, and not what it is set up with."""
    house.admin.roles.bind(Binding(subject="user:carl", role="viewer", pattern=MAIN))
    assert house.value(PATH, who="carl")["options"] is None
    assert house.value(PATH, who="bob")["options"] == {}
    assert house.problem(403, PATH, "PATCH", {"private": True}, "carl")["title"] == "Access denied"


def test_a_repository_is_deleted(house) -> None:
    """By who administers it, and then it is gone."""
    assert house.send(PATH, "DELETE", who="carl").status == 404
    assert house.send(PATH, "DELETE").status == 204
    assert house.send(PATH).status == 404
