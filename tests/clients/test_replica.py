"""Real clients at a replica: what was published at its primary is installed from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from live_server import ADMIN
from rattler_client import Rattler, check_files, installed
from replica_house import Pair, pair, served

from repocore import Action, Registry, Rule
from repocore_web import create_app

pytestmark = pytest.mark.clients


@attrs.frozen
class Harbour:
    """A primary and a replica that both serve; everyone reads, and `admin` writes."""

    two: Pair
    replica: Registry
    url: str


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    with pair(tmp_path / "harbour", "sqlite:///catalog.db") as two:
        two.admin.accounts.add("admin", ADMIN)
        for subject, actions in (("user:admin", frozenset(Action)), ("*", {Action.READ})):
            rule = Rule(subject=subject, actions=frozenset(actions), pattern="**")
            two.admin.accounts.add_rule(rule)
        replica = two.replica()
        with served(create_app(replica)) as url:
            yield Harbour(two, replica, url)


def test_conan_installs_from_a_replica(harbour, conan) -> None:
    """Recipes and packages, as soon as they are there; an upload is refused with the reason."""
    two, remote = harbour.two, f"{harbour.url}/conan/main"
    writer = conan("admin", remote=f"{two.url}/conan/main")
    made = conan.note(writer, "note/1.0", "ahoy")
    writer.run("upload", "note/1.0", "-r=house", "--confirm")
    two.sync(harbour.replica)
    reader = conan(remote=remote)
    reader.run("install", "--requires=note/1.0", "-r=house")
    folder = Path(reader.run("cache", "path", str(made)).output.strip())
    assert (folder / "text.txt").read_text(encoding="utf-8") == "ahoy"
    other = conan("admin", remote=remote)
    conan.note(other, "note/2.0", "no")
    said = other.refused("upload", "note/2.0", "-r=house", "--confirm")
    assert f"This registry is a replica, and nothing was changed; use {two.url}" in said


def test_rattler_installs_from_a_replica(harbour, tmp_path: Path) -> None:
    """By shards and by the whole index."""
    two = harbour.two
    two.conda("tide")
    two.sync(harbour.replica)
    for sharded in (True, False):
        client = Rattler(tmp_path / f"client{sharded}", f"{harbour.url}/conda/main")
        prefix = client.install("tide", sharded=sharded)
        assert installed(prefix) == {"tide": "1.0"}
        assert check_files(prefix) == 1
