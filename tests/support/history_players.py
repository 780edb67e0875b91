"""Eight clients who change and read the same few things through two servers, all at once."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import attrs
import msgpack
import zstandard
from channel_pool import Packaged, pool
from history_models import CONAN, READS, RECIPE, conda
from linearizability import UNKNOWN, Model, Operation
from serving_fleet import NoAnswerError, Reply
from tests_manifest import manifest

from repocore import Policy, Session

__all__ = ["CLIENTS", "History", "Place", "Players", "play"]

CLIENTS = 8
CALLS = 8  # of each client, in one history
#: Of a hundred changes so many are asked for by somebody who does not wait for the answer.
ABANDONED = 4
#: Whether what is published can be replaced: in the first channel of two, where that is forced.
OVERWRITE = (True, False)
POOL = pool()


class Asking(Protocol):
    """A client, as the players need it."""

    def ask(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> Reply: ...

    def abandon(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> None: ...


@attrs.frozen
class Place:
    """One object: two repositories, and the partition that is looked at in both."""

    kind: str
    repositories: tuple[str, str]
    partition: str

    @property
    def model(self) -> Model:
        return CONAN if self.kind == "conan" else conda(overwrite=OVERWRITE)


@attrs.define
class History:
    """What was done to each object; answers that say that they are old are counted, and no more."""

    operations: dict[Place, list[Operation]] = attrs.field(factory=dict)
    old: int = 0
    unanswered: int = 0
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def add(self, place: Place, operation: Operation, *, old: bool) -> None:
        with self._lock:
            if old:
                self.old += 1
                return
            self.unanswered += operation.ended is None
            self.operations.setdefault(place, []).append(operation)


class UnexpectedError(AssertionError):
    """An answer that no call deserves, whatever else is done at the same time."""


# ------------------------------------------------------------------------------- conda's calls


def _named(name: str) -> Packaged:
    return next(one for one in POOL if one.file == name)


def _variants(subdir: str, *names: str) -> list[Packaged]:
    return [one for one in POOL if one.subdir == subdir and one.file in names]


OFFERED = {
    "linux-64": _variants("linux-64", "liba-1.0-0.conda", "liba-2.0-0.conda", "libb-1.0-0.tar.bz2"),
    "noarch": _variants("noarch", "tool-0.9-0.tar.bz2", "docs-1.0-0.conda", "docs-2.0-0.conda"),
}


def conda_call(chance: random.Random, place: Place) -> tuple[Any, ...]:
    """Something to do to a subdir of either channel."""
    offered = OFFERED[place.partition]
    package, where = chance.choice(offered), chance.randrange(2)
    names = tuple(sorted({package.file, chance.choice(offered).file}))
    change = chance.random()
    if change < 0.45:
        return chance.choice([("index", where), ("index", where), ("names", where)])
    if change < 0.5:
        return ("download", where, package.file)
    if change < 0.75:
        return ("put", where, package.file, package.sha256, chance.random() < 0.5)
    verb = chance.choice(["yank", "unyank", "delete", "copy", "promote"])
    return (verb, where, names)


def do_conda(
    client: Asking, server: int, place: Place, call: tuple[Any, ...], chance: random.Random
) -> tuple[Any, Reply]:
    """Ask, and read the answer as the model has it."""
    kind, where, *rest = call
    address = place.repositories[where]
    if kind == "index":
        return _index(client, server, address, place.partition, chance)
    if kind == "names":
        query = f"limit=100&yanked=false&partition={place.partition}"
        reply = client.ask(server, "GET", f"/api/v1/repositories/{address}/releases?{query}")
        return frozenset(one["name"] for one in _json(reply)["items"]), reply
    if kind == "download":
        reply = client.ask(server, "GET", f"/{address}/{place.partition}/{rest[0]}")
        _expect(reply, 200, 404)
        return hashlib.sha256(reply.body).hexdigest() if reply.status == 200 else None, reply
    if kind == "put":
        name, digest, force = rest
        content = next(one.content for one in POOL if one.sha256 == digest)
        target = f"/{address}/{place.partition}/{name}?force={str(force).lower()}"
        reply = client.ask(server, "PUT", target, content)
        _expect(reply, 201, 409)
        return reply.status, reply
    return _post(client, server, place, call)


def _index(
    client: Asking, server: int, address: str, subdir: str, chance: random.Random
) -> tuple[Any, Reply]:
    """The listed files and their digests, in one of the encodings of the index."""
    name = chance.choice(["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"])
    reply = client.ask(server, "GET", f"/{address}/{subdir}/{name}")
    _expect(reply, 200, 404)
    if reply.status == 404:
        return frozenset(), reply
    content = reply.body
    if name.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompress(content)
    if "shards" not in name:
        return _records(json.loads(content)), reply
    found: set[tuple[str, str]] = set()
    for digest in msgpack.unpackb(content)["shards"].values():
        shard = client.ask(server, "GET", f"/{address}/{subdir}/shards/{digest.hex()}.msgpack.zst")
        _expect(shard, 200)
        if hashlib.sha256(shard.body).digest() != digest:
            raise UnexpectedError(f"a shard of {subdir} is not what its name says")
        found |= _records(msgpack.unpackb(zstandard.ZstdDecompressor().decompress(shard.body)))
    return frozenset(found), reply


def _records(document: Any) -> frozenset[tuple[str, str]]:
    found = {**document["packages"], **document["packages.conda"]}
    return frozenset((name, _hex(record["sha256"])) for name, record in found.items())


def _hex(digest: str | bytes) -> str:
    return digest if isinstance(digest, str) else digest.hex()


def _post(client: Asking, server: int, place: Place, call: tuple[Any, ...]) -> tuple[Any, Reply]:
    target, body = posted(place, call)
    reply = client.ask(server, "POST", target, body)
    _expect(reply, 200, 404, 409, 422)
    return reply.status, reply


def posted(place: Place, call: tuple[Any, ...]) -> tuple[str, bytes]:
    """What is asked of the API: its path, and its body."""
    kind, where, names = call
    wanted = [names] if isinstance(names, str) else names
    body: dict[str, Any] = {
        "repository": place.repositories[where],
        "releases": [{"partition": place.partition, "name": name} for name in wanted],
    }
    if kind in {"copy", "promote"}:
        body["target"] = place.repositories[1 - where]
    return f"/api/v1/releases/{kind}", json.dumps(body).encode()


def _expect(reply: Reply, *statuses: int) -> None:
    if reply.status not in statuses:
        text = reply.body[:500].decode(errors="replace")
        raise UnexpectedError(f"{reply.status} instead of {statuses}: {text}")


def _json(reply: Reply) -> Any:
    _expect(reply, 200)
    return json.loads(reply.body)


# ------------------------------------------------------------------------------- Conan's calls

REVISIONS = ("r1", "r2", "r3")


def conan_call(chance: random.Random, place: Place) -> tuple[Any, ...]:
    """Something to do to a reference in either repository."""
    where, revision = chance.randrange(2), chance.choice(REVISIONS)
    change = chance.random()
    if change < 0.4:
        return (chance.choice(["latest", "revisions"]), where)
    if change < 0.5:
        return (chance.choice(["files", "download"]), where, revision)
    if change < 0.75:
        return ("put", where, revision, chance.choice([*RECIPE, RECIPE[-1]]))
    if change < 0.78:
        return ("delete all", where)
    return (
        chance.choice(["delete", "delete", "yank", "unyank", "copy", "promote"]),
        where,
        revision,
    )


def do_conan(
    client: Asking, server: int, place: Place, call: tuple[Any, ...], _chance: random.Random
) -> tuple[Any, Reply]:
    """Ask, and read the answer as the model has it."""
    kind, where, *rest = call
    if kind in {"yank", "unyank", "copy", "promote"}:
        return _post(client, server, place, call)
    method, path, body = conan_request(kind, rest)
    base = f"/{place.repositories[where]}/v2/conans/{place.partition.replace('@', '/')}"
    reply = client.ask(server, method, base + path, body)
    _expect(reply, 200, 404)
    if method != "GET":
        return reply.status, reply
    if kind in {"files", "download"}:
        return reply.status == 200, reply
    if reply.status == 404:
        return None, reply
    said = json.loads(reply.body)
    if kind == "latest":
        return said["revision"], reply
    times = [one["time"] for one in said["revisions"]]
    if times != sorted(times, reverse=True):
        raise UnexpectedError(f"revisions are listed out of their time: {said}")
    return tuple(one["revision"] for one in said["revisions"]), reply


def conan_request(kind: str, rest: Sequence[str]) -> tuple[str, str, bytes | None]:
    """Method, path below the reference, and body."""
    one = f"/revisions/{rest[0]}" if rest else ""
    if kind == "put":
        body = b"recipe" if rest[1] == RECIPE[0] else manifest(RECIPE[0])
        return "PUT", f"{one}/files/{rest[1]}", body
    if kind in {"delete", "delete all"}:
        return "DELETE", one, None
    paths = {"latest": "/latest", "revisions": "/revisions", "files": f"{one}/files"}
    return "GET", paths.get(kind, f"{one}/files/{RECIPE[0]}"), None


# ---------------------------------------------------------------------------------- playing

Planned = tuple[Place, tuple[Any, ...], int, random.Random]


@attrs.define
class Players:
    """The clients, and who makes repositories for them."""

    clients: Sequence[Asking]
    servers: int
    admin: Session
    #: Tells this game's repositories from those of another.
    word: str = "history"
    pool: ThreadPoolExecutor = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(len(self.clients))
        for kind in ("main", "stable"):
            self.admin.repositories.create(f"conan/{self.word}-{kind}")

    def places(self, seed: int) -> list[Place]:
        """New channels, and a reference that nobody has used."""
        channels = tuple(f"conda/{self.word}-{kind}-{seed}" for kind in ("main", "stable"))
        for address, overwrite in zip(channels, OVERWRITE, strict=True):
            self.admin.repositories.create(address, policy=Policy(overwrite=overwrite))
        first, second = channels
        shelves = (f"conan/{self.word}-main", f"conan/{self.word}-stable")
        return [
            Place("conda", (first, second), "linux-64"),
            Place("conda", (first, second), "noarch"),
            Place("conan", shelves, f"tide/1.{seed}@_/_"),
        ]


def plan(seed: int, client: int, places: Sequence[Place], servers: int) -> list[Planned]:
    """What a client does in this history; the same for the same numbers."""
    chance = random.Random(f"{seed}/{client}")
    made: list[Planned] = []
    for _ in range(CALLS):
        place = chance.choice(places)
        call = (conan_call if place.kind == "conan" else conda_call)(chance, place)
        made.append((place, call, chance.randrange(servers), random.Random(chance.random())))
    return made


def play(players: Players, seed: int) -> History:
    """Have all clients do what the seed says; returns what they did, and when.

    Raises `UnexpectedError` for an answer that is never right, a 5xx above all.
    """
    places = players.places(seed)
    history = History()
    together = threading.Barrier(len(players.clients))

    def one(number: int) -> None:
        steps = plan(seed, number, places, players.servers)
        together.wait()
        for step in steps:
            _take(players.clients[number], number, step, history)

    for done in [players.pool.submit(one, number) for number in range(len(players.clients))]:
        done.result()
    return history


def _take(client: Asking, number: int, step: Planned, history: History) -> None:
    place, call, server, chance = step
    do: Callable[..., tuple[Any, Reply]] = do_conan if place.kind == "conan" else do_conda
    if call[0] not in READS and chance.randrange(100) < ABANDONED:
        client = _Leaving(client)
    began = time.monotonic_ns()
    try:
        answer, reply = do(client, server, place, call, chance)
    except NoAnswerError:
        history.add(place, Operation(number, call, UNKNOWN, began, None), old=False)
    else:
        operation = Operation(number, call, answer, began, time.monotonic_ns())
        history.add(place, operation, old=reply.old)


@attrs.frozen
class _Leaving:
    """Somebody who asks, and does not wait for the answer."""

    client: Asking

    def ask(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> Reply:
        self.client.abandon(server, method, target, body, **fields)
        raise NoAnswerError("nobody waited")

    def abandon(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> None:
        self.client.abandon(server, method, target, body, **fields)
