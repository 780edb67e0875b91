"""A live server for each client program, packages compiled once, clients in their own homes."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from conan1_house import House, house, houses
from conan_client import Answer, Conan, Package, clients, executable, through
from conda_channels import Harbourmaster, Quay, channel_name, harbourmasters
from live_server import ADMIN, LiveServer, live_server
from old_conan import CONAN_1, Conan1, wanted
from recorder import sources

RECIPES = Path(__file__).with_name("recipes")
SOURCES = "http://sources.example/tide-1.tar"
USERS = {"admin": ADMIN, "writer": "low-water", "reader": "slack-water"}
HARBOUR = (
    ("tide", "--version=1.0"),
    ("tide", "--version=1.0", "-o=&:shared=True"),
    ("tide", "--version=1.1"),
    ("gauge", "--version=1.2"),
    ("stamp", "--version=1.0"),
    ("harbor", "--version=2.0"),
)


@attrs.frozen(kw_only=True)
class Shipyard:
    """A client whose cache holds every compiled package; `made` has them in HARBOUR's order."""

    client: Conan
    made: tuple[Package, ...]

    @property
    def harbor(self) -> Package:
        return self.made[-1]


@attrs.frozen
class Clients:
    """Makes clients of one program, each in a new home, with the remote `house`."""

    program: Path
    folder: Path
    remote: str

    def __call__(self, user: str | None = None, *, remote: str | None = None) -> Conan:
        """A client that knows the password of a user, or none; nothing has logged in yet."""
        homes = self.folder / "homes"
        homes.mkdir(exist_ok=True)
        client = Conan(self.program, homes / str(sum(1 for _ in homes.iterdir())))
        house = {"name": "house", "url": remote or self.remote, "verify_ssl": True}
        (client.home / "remotes.json").write_text(json.dumps({"remotes": [house]}))
        if user:
            known = {"remote": "house", "user": user, "password": USERS[user]}
            (client.home / "credentials.json").write_text(json.dumps({"credentials": [known]}))
        return client

    def note(self, client: Conan, reference: str, text: str, *arguments: str) -> Package:
        """Create a package that holds one text, without a compiler."""
        folder = self.folder / "note"
        if not folder.exists():
            shutil.copytree(RECIPES / "note", folder)
        content = folder / "text.txt"
        if content.read_text(encoding="utf-8") != text:  # the client packs the file's time too
            content.write_text(text, encoding="utf-8")
        package, _, place = reference.partition("@")
        name, _, version = package.partition("/")
        user, _, channel = place.partition("/")
        words = [f"--name={name}", f"--version={version}"]
        words += [f"--user={user}"] if user else []
        words += [f"--channel={channel}"] if channel else []
        return client.create(folder, *words, *arguments)


@pytest.fixture(scope="session", params=clients())
def program(request: pytest.FixtureRequest) -> Path:
    """The client's program, once for each name in REPOCORE_CONAN_CLIENTS."""
    found = executable(request.param)
    if found is None:
        pytest.skip("no conan in this environment: pip install conan")
    return found


@pytest.fixture(scope="session")
def server(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Everyone reads, `writer` and `admin` write, and nobody but `admin` reads `hidden`."""
    with live_server(tmp_path_factory.mktemp("server")) as running:
        running.add_user("writer", USERS["writer"])
        running.add_user("reader", USERS["reader"])
        running.deny("*", "read", "conan/main/hidden/**")
        running.allow("user:admin", "read", "conan/main/hidden/**")
        running.allow("user:writer", "write,overwrite,delete", "conan/main/**")
        yield running


@pytest.fixture
def conan(program: Path, server: LiveServer, tmp_path: Path) -> Clients:
    return Clients(program, tmp_path, server.remote)


@pytest.fixture(scope="session")
def tarball() -> bytes:
    """The sources of tide, packed the same way every time."""
    upstream = RECIPES / "tide" / "upstream"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(upstream.rglob("*")):
            if path.is_file():
                member = tarfile.TarInfo(f"tide-1/{path.relative_to(upstream).as_posix()}")
                member.size = path.stat().st_size
                archive.addfile(member, io.BytesIO(path.read_bytes()))
    return packed.getvalue()


@pytest.fixture(scope="session")
def origin(tarball: bytes) -> Iterator[str]:
    """Lines of global.conf: how a client reaches the only upstream address that there is."""
    with sources({SOURCES: tarball}) as (address, _):
        yield through(address)


@pytest.fixture(scope="session")
def shipyard(
    program: Path, server: LiveServer, origin: str, tmp_path_factory: pytest.TempPathFactory
) -> Shipyard:
    """Every compiled package in one cache; compiled once, however many processes test."""
    client = Clients(program, tmp_path_factory.mktemp("shipyard"), server.remote)("writer")
    client.configure(origin)
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    name = "harbour-" + ".".join(map(str, client.version))
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        archive, record = shared / f"{name}.tgz", shared / f"{name}.json"
        if record.exists():
            client.run("cache", "restore", archive)
        else:
            made = [attrs.asdict(package) for package in build(client, shared / name)]
            client.run("cache", "save", "*:*", f"--file={archive}")
            record.write_text(json.dumps(made), encoding="utf-8")
        made = json.loads(record.read_text(encoding="utf-8"))
    return Shipyard(client=client, made=tuple(Package(**package) for package in made))


def build(client: Conan, folder: Path) -> Iterator[Package]:
    """Compile all of HARBOUR, from a copy of the recipes."""
    shutil.copytree(RECIPES, folder)
    client.run("create", folder / "shiprules", "--version=1.3")
    for name, *arguments in HARBOUR:
        yield client.create(folder / name, *arguments)


@pytest.fixture(scope="session")
def published(shipyard: Shipyard) -> Answer:
    """What the client said when it uploaded all that the shipyard has, four at a time."""
    return shipyard.client.run(
        "upload", "*:*", "-r=house", "--confirm", "--check", "-cc", "core.upload:parallel=4"
    )


@pytest.fixture(scope="session")
def conan_1() -> Path:
    """The Python of the last Conan 1, and of the server that came with it."""
    return wanted(CONAN_1)


@pytest.fixture(scope="session", params=[False, True], ids=["plain", "revisions"])
def revisions(request: pytest.FixtureRequest) -> bool:
    """Whether a Conan 1 client knows revisions; without them it speaks the first API."""
    return request.param


@pytest.fixture(scope="session", params=houses())
def kind(request: pytest.FixtureRequest) -> str:
    """Whose server a Conan 1 client works with, once for each name in REPOCORE_CONAN1_SERVERS."""
    return request.param


@pytest.fixture(scope="session")
def old_house(
    conan_1: Path, kind: str, revisions: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A server whose clients are Conan 1."""
    folder = tmp_path_factory.mktemp("house")
    with house(kind, conan_1, folder, revisions=revisions) as running:
        yield running


@pytest.fixture
def writer(old_house: House) -> Conan1:
    """A Conan 1 client that may write."""
    return old_house.client("writer")


@pytest.fixture
def visitor(old_house: House) -> Conan1:
    """A Conan 1 client that nobody knows, with an empty cache."""
    return old_house.client()


@pytest.fixture(scope="session")
def harbourmaster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbourmaster]:
    """A server of conda channels, and its administrator beside it in this process."""
    with harbourmasters(tmp_path_factory.mktemp("channels") / "data") as found:
        yield found


@pytest.fixture
def quay(harbourmaster: Harbourmaster, tmp_path: Path, request: pytest.FixtureRequest) -> Quay:
    """An empty channel that everyone reads, named like the test."""
    return harbourmaster.quay(channel_name(request.node.name), tmp_path / "quay")
