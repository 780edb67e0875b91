"""The real quetz-client: every method that it has, against a live server and one that was moved."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from channel_pool import Packaged, package
from live_server import LiveServer, live_server
from old_conan import kept, wanted
from old_quetz import OldDeployment
from rattler_client import Rattler, installed

pytestmark = pytest.mark.clients

CLIENT = "quetz-client==0.5.0"
TIDE = package("noarch", "tide-1.0-0.conda", about={"summary": "Tides."})
ZLIB = package("linux-64", "zlib-1.3-0.tar.bz2")
OLD_KEY = "OldKeyOldKeyOldKeyOldKeyOldKey12"

#: Calls a method and prints what came, generators and dataclasses too.
CALL = """\
import dataclasses, json, sys
from types import GeneratorType
from quetz_client.client import QuetzClient
asked = json.load(sys.stdin)
client = QuetzClient.from_token(asked["url"], asked["token"])
found = getattr(client, asked["method"])(*asked["words"], **asked["options"])
if isinstance(found, GeneratorType):
    found = [dataclasses.asdict(one) for one in found]
print(json.dumps(found))
"""


@attrs.frozen(kw_only=True)
class Client:
    """The client of one key."""

    python: Path
    server: LiveServer
    token: str

    def run(self, *words: str, refused: bool = False) -> str:
        """Its command; raises AssertionError with what it said where that is not expected."""
        environ = {
            **kept(),
            "QUETZ_SERVER_URL": self.server.address,
            "QUETZ_API_KEY": self.token,
            "PAGER": "cat",
        }
        done = subprocess.run(
            [self.python.with_name("quetz-client"), *words],
            env=environ, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode != 0) is refused, done.stdout + done.stderr
        return done.stdout + done.stderr

    def call(self, method: str, *words: Any, **options: Any) -> Any:
        """Its Python method; raises AssertionError where it raises."""
        asked = {
            "url": self.server.address, "token": self.token, "method": method, "words": words,
            "options": options,
        }  # fmt: skip
        done = subprocess.run(
            [self.python, "-c", CALL],
            input=json.dumps(asked), env=kept(), capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def python() -> Path:
    return wanted(CLIENT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("quetz") / "data") as running:
        running.run("user", "add", "ann", "--no-password")
        running.run("rule", "add", "--subject", "*", "--actions", "read", "--pattern", "conda/**")
        yield running


@pytest.fixture(scope="module")
def client(python: Path, server: LiveServer) -> Client:
    return Client(python=python, server=server, token=server.add_token("admin"))


def saved(folder: Path, one: Packaged) -> Path:
    path = folder / one.file
    path.write_bytes(one.content)
    return path


def test_its_command_does_all_that_it_can(client, tmp_path) -> None:
    """A channel is made, filled, listed, shared and deleted with the words of its command line."""
    client.run("set_channel", "words", "--private=False", "--description=Words")
    assert "words" in client.run("yield_channels")
    for one in (TIDE, ZLIB):
        client.run("post_file_to_channel", "words", str(saved(tmp_path, one)))
    # Fire prints one dataclass after the other.
    assert "tide" in client.run("yield_packages", "words")
    client.run("set_channel_member", "ann", "maintainer", "words")
    assert "maintainer" in client.run("yield_channel_members", "words")
    client.run("delete_channel_member", "ann", "words")
    assert "ann" in client.run("yield_users")
    client.run("set_role", "ann", "member")
    assert "member" in client.run("get_role", "ann")
    client.run("delete_channel", "words")
    assert "404" in client.run("delete_channel", "words", refused=True)


def test_its_answers_are_whole(client, tmp_path) -> None:
    """Each is one of its dataclasses, which take exactly the keys that they have."""
    client.call("set_channel", "whole", private=False, description="All of it.", size_limit=1 << 20)
    client.call("post_file_to_channel", "whole", str(saved(tmp_path, TIDE)))
    [channel] = client.call("yield_channels", "whole")
    assert channel == {
        "name": "whole", "description": "All of it.", "private": False, "size_limit": 1 << 20,
        "ttl": 36000, "mirror_channel_url": None, "mirror_mode": None, "members_count": 1,
        "packages_count": 1,
    }  # fmt: skip
    [one] = client.call("yield_packages", "whole")
    assert (one["name"], one["summary"], one["current_version"]) == ("tide", "Tides.", "1.0")
    [member] = client.call("yield_channel_members", "whole")
    assert (member["role"], member["user"]["username"]) == ("owner", "admin")
    assert client.call("yield_packages", "whole", query="nothing") == []
    client.call("delete_channel", "whole")


def test_it_pages_through_everything(client) -> None:
    """Until a page is empty, whatever the size of one."""
    names = [f"page-{number}" for number in range(5)]
    for name in names:
        client.call("set_channel", name)
    for limit in (1, 2, 5, 20):
        found = client.call("yield_channels", "page-", limit=limit)
        assert [one["name"] for one in found] == names
    assert {one["username"] for one in client.call("yield_users", limit=1)} >= {"admin", "ann"}
    for name in names:
        client.call("delete_channel", name)


def test_an_upload_is_refused_as_it_knows_it(client, tmp_path) -> None:
    """Other bytes under a name are a conflict; who may not write is told so."""
    client.call("set_channel", "kept", private=False)
    client.run("post_file_to_channel", "kept", str(saved(tmp_path, TIDE)))
    other = package("noarch", TIDE.file, payload=b"other")
    assert "409" in client.run(
        "post_file_to_channel", "kept", str(saved(tmp_path, other)), refused=True
    )
    ann = attrs.evolve(client, token=client.server.add_token("ann"))
    assert "403" in ann.run(
        "post_file_to_channel", "kept", str(saved(tmp_path, TIDE)), refused=True
    )
    client.call("delete_channel", "kept")


@pytest.mark.parametrize("sharded", [True, False])
def test_old_addresses_install(client, tmp_path, sharded) -> None:
    """A package comes from /get/CHANNEL, with a key in the address of a private one."""
    client.call("set_channel", "old", private=True)
    client.run("post_file_to_channel", "old", str(saved(tmp_path, TIDE)))
    url = f"{client.server.address}/t/{client.token}/get/old"
    rattler = Rattler(tmp_path / "client", url)
    [record] = rattler.solve("tide", sharded=sharded)
    assert record.file_name == TIDE.file
    assert installed(rattler.install("tide", sharded=sharded)) == {"tide": "1.0"}
    client.call("delete_channel", "old")


def test_it_goes_on_after_the_move(python, tmp_path) -> None:
    """With the key that it had, at the new server."""
    old = OldDeployment.make(tmp_path / "quetz")
    mike = old.user("mike", "member")
    old.channel("main")
    old.member("main", mike, "owner")
    old.key(OLD_KEY, mike)
    old.package("main", TIDE)
    with live_server(tmp_path / "data") as server:
        server.run("import", "quetz", str(old.folder))
        client = Client(python=python, server=server, token=OLD_KEY)
        assert [one["name"] for one in client.call("yield_channels")] == ["main"]
        client.run("post_file_to_channel", "main", str(saved(tmp_path, ZLIB)))
        assert [one["name"] for one in client.call("yield_packages", "main")] == ["tide", "zlib"]
        client.call("set_channel", "mikes", private=True)
        assert client.call("get_role", "mike") == [{"role": "member"}]
