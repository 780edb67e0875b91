"""``/api/v1/uploads``: begin to send a file to the storage, and give it up."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pytest
from direct_uploads import ReceivingMemory
from wsgi_calls import basic, call

CONTENT = b"from conan import ConanFile\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "zlib/2.0/_/_/r1/export/conanfile.py"
WANTED = {"repository": "conan/main", "path": PATH, "size": len(CONTENT), "sha256": SHA256}


@pytest.fixture
def storage(house) -> ReceivingMemory:
    made = ReceivingMemory()
    house.registry._services.storage = made
    return made


def test_what_is_offered(house, storage) -> None:
    """To whoever has signed in; a storage of files offers nothing."""
    assert house.value("uploads", who="carl") == {"smallest": 3}
    storage.smallest = None
    assert house.value("uploads", who="carl") == {"smallest": None}
    assert house.problem(401, "uploads", who=None)


def test_begin_and_give_up(house, storage) -> None:
    """The answer has what is to be sent; nobody keeps a copy of it."""
    answer = house.send("uploads", "POST", WANTED)
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    begun = json.loads(answer.body)
    [part] = begun["parts"]
    assert (part["method"], part["start"], part["stop"]) == ("PUT", 0, len(CONTENT))
    assert part["url"].startswith("https://store.example/")
    assert part["headers"] == {"Content-Length": str(len(CONTENT))}
    assert datetime.fromisoformat(begun["expires_at"]) > datetime.now(UTC)
    again = house.value("uploads", "POST", {**WANTED, "sha256": SHA256.upper()})
    assert (again["id"], again["parts"]) == (begun["id"], begun["parts"])
    storage.arrive(begun["id"], CONTENT)
    assert house.value("uploads", "POST", WANTED)["parts"] == []
    for who, status in (("carl", 404), ("ann", 204), ("ann", 404)):
        assert house.send(f"uploads/{begun['id']}", "DELETE", who=who).status == status
    assert storage.arriving == {}
    assert house.problem(401, "uploads/x", "DELETE", who=None)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"size": -1}, 422),
        ({"size": 2}, 422),
        ({"size": "9"}, 422),
        ({"size": 1 << 62}, 413),
        ({"sha256": "0"}, 400),
        ({"path": "../x"}, 400),
        ({"repository": "conan"}, 400),
        ({"repository": "conan/nowhere"}, 404),
        ({"more": 1}, 422),
    ],
)
def test_what_cannot_be_begun(house, storage, wrong, status) -> None:
    """Nothing is signed."""
    house.problem(status, "uploads", "POST", {**WANTED, **wrong})
    assert storage.arriving == {}


def test_who_may_not_write_may_not_begin(house, storage) -> None:
    """As at the address of the file."""
    assert house.send("uploads", "POST", WANTED, "carl").status in {403, 404}
    house.problem(401, "uploads", "POST", WANTED, None)
    assert storage.arriving == {}


def test_a_channel_completes_it_at_the_address_of_the_file(house, storage) -> None:
    """Without a body; refusals are those of every upload there."""
    house.admin.repositories.create("conda/main")
    content = b"no package at all"
    wanted = {
        "repository": "conda/main",
        "path": "noarch/tide-1.0-0.conda",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    begun = house.value("uploads", "POST", wanted)
    fields = {"HTTP_AUTHORIZATION": basic("ann", "right"), "HTTP_X_REPOCORE_UPLOAD": begun["id"]}
    target = "/conda/main/noarch/tide-1.0-0.conda"
    early = call(house.app, target, "PUT", **fields)
    assert early.status == 400
    storage.arrive(begun["id"], content)
    refused = call(house.app, target, "PUT", **fields)
    assert refused.status == 422, refused.text
    assert storage.arriving == {}
    assert call(house.app, target, "PUT", **fields).status == 404
