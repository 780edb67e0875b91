"""``/api/v1/replication`` and ``/api/v1/replica``: what a replica asks, as anybody may read it."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from wsgi_calls import call

from repocore import Action, Rule

RECIPE = b"zlib/1.3/_/_ r1"


@pytest.fixture
def mirror(house) -> dict[str, str]:
    """The fields of an account that may replicate, and nothing else."""
    allowed = frozenset({Action.REPLICATE})
    house.admin.accounts.add("mirror", service=True)
    house.admin.accounts.add_rule(Rule(subject="user:mirror", actions=allowed, pattern="**"))
    secret = house.admin.accounts.create_token("mirror", "t")[1]
    return {"who": None, "HTTP_X_API_KEY": secret}


def test_a_replica_is_told_where_the_primary_is(house, mirror) -> None:
    """The same again is no news, though the clock has gone on."""
    told = house.value("replication", **mirror)
    assert (told["protocol"], told["ours"]) == (1, True)
    assert told["untaken"] > 0
    answer = house.send("replication", **mirror)
    tag = answer.headers["etag"]
    assert tag.startswith("W/")
    assert house.send("replication", HTTP_IF_NONE_MATCH=tag, **mirror).status == 304
    other = house.value(f"replication?record=3&root={'0' * 64}", **mirror)
    assert other["ours"] is False


def test_changes_are_told_since_a_serial(house, mirror) -> None:
    """Tombstones, too; what comes behind the last serial is nothing."""
    house.recipe("zlib/1.3/_/_")
    house.recipe("zlib/1.3/_/_", "r2")
    number = next(one["repository"] for one in house.walk("replication/partitions", **mirror))
    wanted = {"repository": number, "partition": "zlib/1.3@_/_"}

    def changes(**more: object) -> dict:
        body = {"partitions": [wanted | more]}
        return house.value("replication/changes", "POST", body, **mirror)

    told = changes()
    assert [(one["name"], one["serial"]) for one in told["releases"]] == [("r1", 1), ("r2", 2)]
    [reached] = told["partitions"]
    assert (reached["serial"], reached["whole"]) == (2, True)
    file = told["releases"][0]["files"][0]
    assert file["path"] == "zlib/1.3/_/_/r1/export/conanfile.py"
    assert file["sha256"] == hashlib.sha256(RECIPE).hexdigest()
    assert json.loads(base64.b64decode(told["releases"][0]["record"])) == {"archives": []}
    house.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
    [gone] = changes(since=2)["releases"]
    assert (gone["name"], gone["files"], gone["removed_at"] is not None) == ("r1", [], True)
    assert changes(since=3)["releases"] == []
    nowhere = changes(partition="nowhere")
    assert (nowhere["releases"], nowhere["partitions"][0]["serial"]) == ([], None)


def test_bytes_are_sent_by_their_digest(house, mirror) -> None:
    """Also a part of them; what no file has is not there."""
    house.recipe("zlib/1.3/_/_")
    path = f"replication/content/{hashlib.sha256(RECIPE).hexdigest()}"
    assert house.send(path, **mirror).body == RECIPE
    fields = {key: value for key, value in mirror.items() if key != "who"}
    part = call(house.app, f"/api/v1/{path}", HTTP_RANGE="bytes=5-", **fields)
    assert (part.status, part.body) == (206, RECIPE[5:])
    assert house.send(f"replication/content/{'0' * 64}", **mirror).status == 404
    assert house.send("replication/content/x", **mirror).status == 404


def test_rows_and_records_come_in_pages(house, mirror) -> None:
    """As the catalog has them."""
    house.registry.tell()
    rows = house.walk("replication/access?limit=2", **mirror)
    assert {"repositories", "accounts", "rules", "tokens"} <= {one["table"] for one in rows}
    assert len({str(one) for one in rows}) == len(rows)
    records = house.walk("replication/records?limit=2", **mirror)
    numbers = [one["id"] for one in records]
    assert numbers == sorted(numbers)
    assert numbers
    assert house.walk("replication/downloads?since=0", **mirror) == []


def test_a_registry_tells_whether_it_is_a_replica(house) -> None:
    """To administrators."""
    told = house.value("replica")
    assert (told["of"], told["ok"]) == (None, False)
    house.problem(404, "replica", who="bob")
    house.problem(401, "replica", who=None)
