"""``replica status``, ``replica sync`` and ``replica promote``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from replica_house import Pair, pair


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pair]:
    with pair(tmp_path, "sqlite:///catalog.db") as made:
        yield made


@pytest.fixture
def replica(program: Any, two: Pair) -> Any:
    """An installation whose settings name the primary, made by `init`."""
    there = attrs.evolve(program, data=two.folder / "replica")
    there.data.mkdir()
    settings = f'[replica]\nof = "{two.url}"\ntoken = "{two.secret}"\ncompare = "30m"\n'
    (there.data / "repocore.toml").write_text(settings, encoding="utf-8")
    assert "It is a replica" in there("init").stdout
    return there


def test_a_replica_is_followed_on_the_command_line(replica, two: Pair) -> None:
    """Status tells how far it is, by its exit status as well; sync takes over."""
    two.conda("tide")
    two.primary.tell()
    before = replica.json("repo", "list")
    assert before == []
    first = replica("replica", "status", status=1).stdout
    assert "not whole" in first
    assert two.url in first
    done = replica.json("replica", "sync")
    assert (done["releases"], done["fetched"]) == (1, 1)
    even = replica.json("replica", "status")
    assert (even["ok"], even["records"], even["partitions"]) == (True, 0, 0)
    assert "behind      0 s" in replica("replica", "status").stdout
    two.conda("wave")
    two.primary.tell()
    late = replica("replica", "status", status=1).stdout
    assert "partitions  1, 1 serials" in late
    assert "noarch" in late
    assert "Took over 1 releases in 1 partitions" in replica("replica", "sync").stdout
    assert "Took over 2 releases" in replica("replica", "sync", "--full").stdout
    assert two.secret not in replica("config", "show").stdout


def test_changes_are_refused_with_the_primarys_address(replica, two: Pair) -> None:
    """Commands that change something, too."""
    replica("replica", "sync")
    told = replica.refused("repo", "create", "conda/new")
    assert told["kind"] == "ReplicaReadOnlyError"
    assert two.url in told["error"]
    assert replica("gc").exit_code == 0
    assert replica("check").exit_code == 0


def test_a_doctor_looks_at_a_replica(replica, two: Pair) -> None:
    """Whether it can follow, and how far it is; its administrators are the primary's."""

    def told(status: int = 0) -> dict[str, str]:
        found = json.loads(replica("doctor", "--json", status=status).stdout)["findings"]
        return {one["part"]: one["state"] for one in found}

    assert told()["replica"] == "warning"
    two.admin.audit.seal()
    replica("replica", "sync")
    found = told()
    assert (found["replica"], "administrators" in found) == ("ok", False)
    file = replica.data / "repocore.toml"
    file.write_text(file.read_text().replace(two.secret, "rpc_wrong"), encoding="utf-8")
    assert told(1)["replica"] == "FAILED"


def test_a_replica_is_promoted(replica, two: Pair) -> None:
    """Once it is even; then it takes changes, and says what it was."""
    two.conda("tide")
    two.primary.tell()
    assert "nothing to promote" in replica.refused("replica", "promote", "--force")["error"]
    replica("replica", "sync")
    two.conda("ebb")
    two.primary.tell()
    assert "--force" in replica.refused("replica", "promote")["error"]
    replica("replica", "sync")
    said = replica("replica", "promote").stdout
    assert said.startswith("Promoted: it follows")
    assert "lost" not in said.lower()
    replica("repo", "create", "conda/new")
    assert "was promoted at" in replica("replica", "status").stdout
    assert replica.json("replica", "status")["of"] is None
    assert "was promoted, and follows nobody" in replica("config", "check").stderr


def test_what_a_promotion_loses_is_said(replica, two: Pair) -> None:
    """When it was forced."""
    two.primary.tell()
    replica("replica", "sync")
    two.conda("tide")
    two.primary.tell()
    assert "Lost are 1 changes in 1 partitions" in replica("replica", "promote", "--force").stdout


def test_a_registry_that_follows_nobody_says_so(house) -> None:
    """Which is no error to ask."""
    assert "follows nobody" in house("replica", "status").stdout
    assert "follows nobody" in house.refused("replica", "sync")["error"]
    assert "nothing to promote" in house.refused("replica", "promote")["error"]
