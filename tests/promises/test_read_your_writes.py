"""What one server has answered with 2xx, every server shows at once, in every document.

Packages are uploaded, overwritten, yanked, deleted, patched and copied at random, through one of
two servers on one catalog; then the other is asked for every document of the channels, in every
encoding, and a model without a line of ours says what has to be in them.  After a refusal not one
byte may be another.  `nox -s promises` plays it for long.
"""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import http.client
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import msgpack
import pytest
import zstandard
from channel_model import PATCHES, STAMP, SUBDIRS, Channel, Key, Span
from channel_pool import Packaged, pool
from cli_support import finished, launch, read_document
from hypothesis import Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from wsgi_calls import Answer, basic, call

import repocore
from repocore import Policy, Registry, Rule, actions_of
from repocore.catalog import drafts, releases
from repocore.plugins.conda import run_exports, shards
from repocore.plugins.conda.patches import NOTHING
from repocore.registry import Session, blobs, copying, indexing
from repocore_web import create_app

EXAMPLES = int(os.environ.get("REPOCORE_PROMISES", "3"))
STEPS = 30 if EXAMPLES > 10 else 12
#: Clocks are read in different processes, and a stamp is cut to the millisecond.
SLACK = 2
POOL = pool()
#: Other bytes of a name that was there before.
MORE = {
    one.content
    for place, one in enumerate(POOL)
    if one.path in {before.path for before in POOL[:place]}
}
KEYS = sorted({(one.subdir, one.file) for one in POOL} | {(s, PATCHES) for s in SUBDIRS})


class Server(Protocol):
    """Whoever answers one request."""

    def __call__(self, target: str, method: str = "GET", **fields: Any) -> Answer: ...


@attrs.frozen
class Fleet:
    """Two servers on one catalog, and whoever makes channels for them."""

    servers: Sequence[Server]
    admin: Session
    writer: str
    reader: str


@attrs.define
class Listening:
    """A server process; reading goes over one connection, changes have their own."""

    port: int
    _kept: http.client.HTTPConnection | None = attrs.field(default=None, init=False)

    def __call__(self, target: str, method: str = "GET", **fields: Any) -> Answer:
        body = fields.pop("body", None)
        headers = {name.removeprefix("HTTP_").replace("_", "-"): v for name, v in fields.items()}
        if method != "GET":
            with contextlib.closing(self._connect()) as connection:
                return _sent(connection, target, method, body, headers)
        if self._kept is not None:
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                return _sent(self._kept, target, method, body, headers)
            self.close()  # the server has given it up meanwhile
        self._kept = self._connect()
        return _sent(self._kept, target, method, body, headers)

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()


def _sent(
    connection: http.client.HTTPConnection,
    target: str,
    method: str,
    body: bytes | None,
    headers: dict[str, str],
) -> Answer:
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    found = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, found, answer.read())


def configured(folder: Path, catalog: str) -> Path:
    """A data folder whose settings make every encoding."""
    data = folder / "data"
    data.mkdir()
    text = f'catalog = "{catalog}"\n\n[plugins.conda]\nbz2 = true\n'
    (data / "repocore.toml").write_text(text, encoding="utf-8")
    return data


def furnished(registry: Registry, servers: Sequence[Server]) -> Fleet:
    """Give it a writer, a reader, and rules for both."""
    admin = registry.session(registry.admin())
    tokens: dict[str, str] = {}
    for name, actions in (("writer", ["all"]), ("reader", ["read"])):
        admin.accounts.add(name, "high-water")
        granted = Rule(subject=f"user:{name}", actions=actions_of(actions), pattern="conda/**")
        admin.accounts.add_rule(granted)
        tokens[name] = f"Bearer {admin.accounts.create_token(name, 'test')[1]}"
    everyone = Rule(subject="*", actions=actions_of(["read"]), pattern="conda/**")
    admin.accounts.add_rule(everyone)
    return Fleet(servers, admin, tokens["writer"], tokens["reader"])


@contextlib.contextmanager
def in_this_process(folder: Path, catalog: str) -> Generator[Fleet]:
    """Two registries and their applications."""
    data = configured(folder, catalog)
    with repocore.open_registry(data) as one, repocore.open_registry(data) as other:
        apps = [create_app(one), create_app(other)]

        def server(app: Any) -> Server:
            return lambda target, method="GET", **fields: call(app, target, method, **fields)

        yield furnished(one, [server(app) for app in apps])


@contextlib.contextmanager
def as_processes(folder: Path, catalog: str) -> Generator[Fleet]:
    """Two times `repocore serve`."""
    pytest.importorskip("gunicorn")
    data = configured(folder, catalog)
    with contextlib.ExitStack() as stack:
        servers: list[Listening] = []
        for _ in range(2):
            process = launch(data, REPOCORE_ADMIN_PASSWORD="high-water")
            stack.enter_context(finished(process))
            stack.callback(process.terminate)
            port = int(read_document(process)["addresses"][0].rpartition(":")[2])
            servers.append(stack.enter_context(contextlib.closing(Listening(port))))
        registry = stack.enter_context(repocore.open_registry(data))
        yield furnished(registry, servers)


# ------------------------------------------------------------------------------------ documents

#: Every encoding that a document has, by its name.
ENCODINGS = {
    "repodata.json": ("", ".zst", ".bz2"),
    "repodata_from_packages.json": ("", ".zst"),
    "current_repodata.json": ("", ".zst"),
    "run_exports.json": ("", ".zst"),
}
SHARDS = "repodata_shards.msgpack.zst"
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".zst": lambda content: zstandard.ZstdDecompressor().decompress(content),
    ".bz2": bz2.decompress,
}


def paths() -> Iterator[str]:
    """Every document of a channel but its shards."""
    yield from ("channeldata.json", "channeldata.json.zst")
    for subdir in SUBDIRS:
        yield f"{subdir}/{SHARDS}"
        for name, suffixes in ENCODINGS.items():
            yield from (f"{subdir}/{name}{suffix}" for suffix in suffixes)


@attrs.frozen
class Seen:
    """Every document of a channel as one server sent it; those that are not there have 404."""

    answers: dict[str, Answer]

    @property
    def bytes(self) -> dict[str, tuple[int, bytes, str | None]]:
        """What must be the same as long as nothing has changed."""
        return {
            path: (one.status, one.body, one.headers.get("etag"))
            for path, one in self.answers.items()
        }

    def json(self, path: str, suffixes: Sequence[str]) -> Any:
        """A document, which is the same in all its encodings; None where there is none."""
        if self.answers[path].status == 404:
            assert {self.answers[path + suffix].status for suffix in suffixes} == {404}
            return None
        plain = [DECODERS[suffix](self.answers[path + suffix].body) for suffix in suffixes]
        assert len(set(plain)) == 1, f"the encodings of {path} differ"
        return json.loads(plain[0])

    def shards(self, subdir: str) -> tuple[Any, dict[str, Any]] | None:
        """The index without its digests, and each shard that it names."""
        answer = self.answers[f"{subdir}/{SHARDS}"]
        if answer.status == 404:
            return None
        index = msgpack.unpackb(DECODERS[".zst"](answer.body))
        found: dict[str, Any] = {}
        for name, digest in index.pop("shards").items():
            content = self.answers[f"{subdir}/shards/{digest.hex()}.msgpack.zst"].body
            assert hashlib.sha256(content).digest() == digest, f"{name} is not what its name says"
            found[name] = msgpack.unpackb(DECODERS[".zst"](content))
        return index, found


def look(server: Server, channel: str) -> Seen:
    """Fetch everything."""
    found = {path: server(f"/conda/{channel}/{path}") for path in paths()}
    for subdir in SUBDIRS:
        index = found[f"{subdir}/{SHARDS}"]
        if index.status == 404:
            continue
        shards = msgpack.unpackb(DECODERS[".zst"](index.body))["shards"]
        for digest in shards.values():
            path = f"{subdir}/shards/{digest.hex()}.msgpack.zst"
            found[path] = server(f"/conda/{channel}/{path}")
            assert found[path].status == 200, path
    assert {one.status for one in found.values()} <= {200, 404}
    assert not any("warning" in one.headers for one in found.values())
    return Seen(found)


def compare(seen: Seen, channel: Channel) -> None:
    """Every document is what the model says."""
    for subdir in SUBDIRS:
        found = {
            name: seen.json(f"{subdir}/{name}", suffixes) for name, suffixes in ENCODINGS.items()
        }
        shards = seen.shards(subdir)
        if not channel.exists(subdir):
            assert {*found.values(), shards} == {None}
            continue
        channel.learn(subdir, stamps(found["repodata_from_packages.json"]))
        assert found["repodata.json"] == channel.repodata(subdir)
        unpatched = channel.repodata(subdir, patched=False)
        assert found["repodata_from_packages.json"] == unpatched
        assert found["current_repodata.json"] == channel.current(subdir)
        assert found["run_exports.json"] == channel.run_exports(subdir)
        assert shards == channel.shards(subdir)
    assert seen.json("channeldata.json", ("", ".zst")) == channel.channeldata()


def stamps(repodata: Any) -> dict[str, int]:
    """The stamp of each file; ``v3`` has their names without what they end in."""
    maps = [("", repodata["packages"]), ("", repodata["packages.conda"])]
    maps += [(f".{kind}", records) for kind, records in repodata.get("v3", {}).items()]
    return {
        name + suffix: record[STAMP] for suffix, records in maps for name, record in records.items()
    }


# -------------------------------------------------------------------------------------- machine


def form(package: Packaged) -> tuple[bytes, str]:
    """A form with one file (RFC 7578), and its type."""
    head = f'Content-Disposition: form-data; name="file"; filename="{package.file}"'
    body = f"--tide\r\n{head}\r\n\r\n".encode() + package.content + b"\r\n--tide--\r\n"
    return body, "multipart/form-data; boundary=tide"


def now() -> int:
    return time.time_ns() // 1_000_000


packages = st.sampled_from(POOL)
which = st.integers(min_value=0, max_value=1)
fields = st.fixed_dictionaries(
    {},
    optional={
        "depends": st.sampled_from([[], ["liba <2.0"], ["docs", "libb >=3.0"]]),
        "constrains": st.sampled_from([["libb <3.0"], None]),
        "license": st.sampled_from(["ISC", None]),
        "run_exports": st.sampled_from([{"weak": ["libb"]}, {}, None]),
    },
)


def instructions(names: Sequence[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Patches of these files, and of their twins."""
    stems = [name.removesuffix(".conda").removesuffix(".tar.bz2") for name in names]
    older = st.sampled_from([f"{stem}.tar.bz2" for stem in stems])
    newer = st.sampled_from([f"{stem}.conda" for stem in stems])
    some = st.lists(st.one_of(older, newer), max_size=2, unique=True)
    return st.fixed_dictionaries(
        {"patch_instructions_version": st.just(2)},
        optional={
            "packages": st.dictionaries(older, fields, max_size=3),
            "packages.conda": st.dictionaries(newer, fields, max_size=3),
            "revoke": some,
            "remove": some,
        },
    )


BAD_PATCHES = [
    b"",
    b"[]",
    b'{"patch_instructions_version": 9}',
    b'{"remove": ["readme.txt"]}',
    b'{"packages": {"liba-1.1-0.tar.bz2": {"sha256": "0"}}}',
    b'{"packages.conda": {"liba-1.1-0.conda": {"run_exports": {}}}}',
]


#: What can be wrong with a request.
FAULTS = ["cut", "name", "subdir", "hash", "nobody", "reader", "wrong", "patch", "permission"]
VERBS = ["yank", "unyank", "delete", "DELETE"]


class ChannelsMachine(RuleBasedStateMachine):
    """``main`` lets packages be replaced, ``stable`` does not; rules act through either server."""

    #: Channels that were made, for names that nobody had.
    made = 0

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self.fleet = fleet
        ChannelsMachine.made += 1
        self.channels = [
            Channel(f"{word}-{ChannelsMachine.made}", overwrite=word == "main")
            for word in ("main", "stable")
        ]
        for channel in self.channels:
            policy = Policy(overwrite=channel.overwrite)
            fleet.admin.repositories.create(f"conda/{channel.name}", policy=policy)
        self.seen = [look(fleet.servers[0], channel.name) for channel in self.channels]
        self.check(0, changed=True)

    # ------------------------------------------------------------------------------ asking

    def ask(self, server: int, target: str, method: str, **fields: Any) -> Answer:
        """The writer asks, unless somebody else is named."""
        fields.setdefault("HTTP_AUTHORIZATION", self.fleet.writer)
        return self.fleet.servers[server](target, method, **fields)

    def post(
        self, server: int, verb: str, channel: Channel, keys: Sequence[Key], **more: str
    ) -> int:
        releases = [{"partition": subdir, "name": name} for subdir, name in keys]
        body = {"repository": f"conda/{channel.name}", "releases": releases, **more}
        asked = json.dumps(body).encode()
        return self.ask(server, f"/api/v1/releases/{verb}", "POST", body=asked).status

    def check(self, server: int, *, changed: bool) -> None:
        """The other server shows what the model says; where nothing has changed, the same bytes."""
        for place, channel in enumerate(self.channels):
            seen = look(self.fleet.servers[1 - server], channel.name)
            if not changed:
                assert seen.bytes == self.seen[place].bytes
            compare(seen, channel)
            self.seen[place] = seen

    def judge(self, server: int, status: int, expected: int, before: Any) -> None:
        """The status is the model's; the documents change if the model does, else not at all."""
        assert status == expected
        self.check(server, changed=self.state() != before)

    def state(self) -> Any:
        """All of the model that documents are made from."""
        return [
            (
                {key: (held.content, held.yanked) for key, held in channel.held.items()},
                set(channel.gone),
                set(channel.born),
            )
            for channel in self.channels
        ]

    def some(self, data: st.DataObject, channel: Channel) -> list[Key]:
        """Up to four names, mostly of what there is."""
        there = sorted(channel.held) or KEYS
        keys = st.one_of(st.sampled_from(there), st.sampled_from(there), st.sampled_from(KEYS))
        return data.draw(st.lists(keys, min_size=1, max_size=4, unique=True))

    def timed(self, work: Callable[[], int]) -> tuple[int, Span]:
        """A status, and the milliseconds in which the server has worked."""
        earliest = now() - SLACK
        status = work()
        return status, (earliest, now() + SLACK)

    # ------------------------------------------------------------------------------- verbs

    def upload(self, server: int, place: int, package: Packaged, how: str, *, force: bool) -> None:
        """In one of three forms; the package is there afterwards, with the model's bytes."""
        channel, before = self.channels[place], self.state()
        word = f"force={str(force).lower()}"
        body, kind = package.content, "application/octet-stream"
        target, method = f"/conda/{channel.name}/{package.path}?{word}", "PUT"
        if how == "quetz":
            target, method = f"/api/channels/{channel.name}/upload/{package.file}?{word}", "POST"
        elif how == "prefix":
            target, method = f"/api/v1/upload/{channel.name}?{word}", "POST"
            body, kind = form(package)
        status, span = self.timed(
            lambda: self.ask(server, target, method, body=body, CONTENT_TYPE=kind).status
        )
        self.judge(server, status, channel.upload(package, span, force=force), before)
        held = channel.held[package.subdir, package.file]
        answer = self.fleet.servers[1 - server](f"/conda/{channel.name}/{package.path}")
        assert (answer.status, answer.body) == (200, held.content)

    def change(self, server: int, place: int, verb: str, keys: Sequence[Key]) -> None:
        """Yank, put back or delete all that are named, or none."""
        channel, before = self.channels[place], self.state()
        status = self.post(server, verb, channel, keys)
        expected = (
            channel.delete(keys) if verb == "delete" else channel.yank(keys, to=verb == "yank")
        )
        self.judge(server, status, expected, before)
        for subdir, name in keys if (verb, status) == ("delete", 200) else ():
            gone = self.fleet.servers[1 - server](f"/conda/{channel.name}/{subdir}/{name}")
            assert gone.status == 404

    def delete_at(self, server: int, place: int, key: Key) -> None:
        """Delete one by its path in the channel."""
        channel, before = self.channels[place], self.state()
        target = f"/conda/{channel.name}/{'/'.join(key)}"
        status = self.ask(server, target, "DELETE").status
        expected = channel.delete([key])
        self.judge(server, status, 204 if expected == 200 else expected, before)

    def patch(self, server: int, place: int, subdir: str, said: dict[str, Any]) -> None:
        """Patches take the place of those before."""
        channel, before = self.channels[place], self.state()
        content = json.dumps(said).encode()
        target = f"/conda/{channel.name}/{subdir}/{PATCHES}"
        status, span = self.timed(lambda: self.ask(server, target, "PUT", body=content).status)
        self.judge(server, status, channel.patch(subdir, content, span), before)

    def copy(self, server: int, place: int, verb: str, keys: Sequence[Key]) -> None:
        """To the other channel: all, or, where one of them is there with other bytes, none."""
        channel, target = self.channels[place], self.channels[1 - place]
        before = self.state()
        address = f"conda/{target.name}"
        status, span = self.timed(lambda: self.post(server, verb, channel, keys, target=address))
        self.judge(server, status, channel.copy_to(target, keys, span), before)

    def upload_badly(self, server: int, place: int, package: Packaged, fault: str) -> None:
        """A bad package, a false name, a wrong checksum, no permission: refused without a trace."""
        before, more = self.state(), {}
        body, path = package.content, package.path
        if fault == "cut":
            body = body[: len(body) // 2]
        elif fault == "name":
            path = path.replace(f"{package.subdir}/", f"{package.subdir}/other-")
        elif fault == "subdir":
            path = path.replace(package.subdir, "osx-64")
        elif fault == "hash":
            path = f"{path}?sha256={'0' * 64}"
        else:
            more["HTTP_AUTHORIZATION"] = {
                "nobody": "",
                "reader": self.fleet.reader,
                "wrong": basic("writer", "low-water"),
            }[fault]
        target = f"/conda/{self.channels[place].name}/{path}"
        status = self.ask(server, target, "PUT", body=body, **more).status
        expected = {"hash": 400, "nobody": 401, "reader": 403, "wrong": 401}.get(fault, 422)
        self.judge(server, status, expected, before)

    def patch_badly(self, server: int, place: int, content: bytes) -> None:
        """What cannot be applied is not taken."""
        before = self.state()
        target = f"/conda/{self.channels[place].name}/noarch/{PATCHES}"
        self.judge(server, self.ask(server, target, "PUT", body=content).status, 422, before)

    def change_without_permission(self, server: int, place: int, keys: Sequence[Key]) -> None:
        """A reader yanks, deletes, copies and patches nothing."""
        channel, before = self.channels[place], self.state()
        releases = [{"partition": subdir, "name": name} for subdir, name in keys]
        body = {"repository": f"conda/{channel.name}", "releases": releases}
        to = {"target": f"conda/{self.channels[1 - place].name}"}
        reader = {"HTTP_AUTHORIZATION": self.fleet.reader}
        for verb, more in (("yank", {}), ("unyank", {}), ("delete", {}), ("copy", to)):
            asked = json.dumps({**body, **more}).encode()
            status = self.ask(
                server, f"/api/v1/releases/{verb}", "POST", body=asked, **reader
            ).status
            # What is not there to be copied is told to whoever may read.
            missing = verb == "copy" and not channel.held.keys() >= set(keys)
            assert status == (404 if missing else 403)
        target = f"/conda/{channel.name}/noarch/{PATCHES}"
        status = self.ask(server, target, "PUT", body=b"{}", **reader).status
        self.judge(server, status, 403, before)

    # ------------------------------------------------------------------------------- rules

    @initialize(fills=st.tuples(*[st.lists(packages, min_size=3, max_size=9)] * 2))
    def fill(self, fills: Sequence[Sequence[Packaged]]) -> None:
        """Something is there before the rest begins: put through one server and the other."""
        for channel, some in zip(self.channels, fills, strict=True):
            for place, package in enumerate(some):
                target = f"/conda/{channel.name}/{package.path}"
                status, span = self.timed(
                    lambda target=target, place=place, package=package: (
                        self.ask(place % 2, target, "PUT", body=package.content).status
                    )
                )
                assert status == channel.upload(package, span)
        self.check(0, changed=True)

    @rule(
        server=which,
        place=which,
        package=packages,
        how=st.sampled_from(["put", "quetz", "prefix"]),
        force=st.booleans(),
    )
    def uploads(self, server: int, place: int, package: Packaged, how: str, force: bool) -> None:
        """Whoever forces it may replace bytes, where the channel lets them."""
        self.upload(server, place, package, how, force=force)

    @rule(server=which, place=which, data=st.data(), verb=st.sampled_from(VERBS))
    def changes(self, server: int, place: int, data: st.DataObject, verb: str) -> None:
        """Several at once, or one by its path."""
        keys = self.some(data, self.channels[place])
        if verb == "DELETE":
            self.delete_at(server, place, keys[0])
        else:
            self.change(server, place, verb, keys)

    @rule(server=which, place=which, subdir=st.sampled_from(SUBDIRS), data=st.data())
    def patches(self, server: int, place: int, subdir: str, data: st.DataObject) -> None:
        """Mostly of what there is."""
        names = [name for where, name in sorted(self.channels[place].held) if where == subdir]
        names = [name for name in names if name != PATCHES] or [one.file for one in POOL]
        self.patch(server, place, subdir, data.draw(instructions(names)))

    @rule(server=which, place=which, data=st.data(), verb=st.sampled_from(["copy", "promote"]))
    def copies(self, server: int, place: int, data: st.DataObject, verb: str) -> None:
        """From each of the channels to the other."""
        self.copy(server, place, verb, self.some(data, self.channels[place]))

    @rule(server=which, place=which, data=st.data(), fault=st.sampled_from(FAULTS))
    def refusals(self, server: int, place: int, data: st.DataObject, fault: str) -> None:
        """Whatever is wrong, nothing is another afterwards."""
        if fault == "patch":
            self.patch_badly(server, place, data.draw(st.sampled_from(BAD_PATCHES)))
        elif fault == "permission":
            keys = self.some(data, self.channels[place])
            self.change_without_permission(server, place, keys)
        else:
            self.upload_badly(server, place, data.draw(packages), fault)


def play(fleet: Fleet, examples: int = EXAMPLES) -> None:
    """The servers keep what was played before, so a failure is not played again from a file."""
    # Long games are not worth a shorter one: every step asks for everything.
    phases = [Phase.generate, *([Phase.shrink] if examples <= EXAMPLES < 10 else [])]
    wanted = settings(max_examples=examples, stateful_step_count=STEPS, phases=phases)
    run_state_machine_as_test(lambda: ChannelsMachine(fleet), settings=wanted)


# ---------------------------------------------------------------------------------------- tests


def tell(fleet: Fleet) -> None:
    """A story with everything in it that goes wrong easily, the same each time."""
    by_name = {f"{one.path}{'!' * (one.content in MORE)}": one for one in POOL}
    machine = ChannelsMachine(fleet)
    linux, docs = "linux-64", ("noarch", "docs-2.0-0.conda")
    older, newer, other = (
        (linux, name) for name in ("liba-1.1-0.tar.bz2", "liba-1.1-0.conda", "liba-2.0-0.conda")
    )
    machine.fill(([one for one in POOL if one.content not in MORE], []))
    machine.change(0, 0, "yank", [older, docs])
    machine.change(1, 0, "delete", [newer, (linux, "nothing-1.0-0.conda")])
    machine.change(0, 0, "yank", [newer, (linux, "nothing-1.0-0.conda")])
    machine.copy(0, 0, "copy", [newer, other, (linux, "tool-1.0-0.conda")])
    machine.change(0, 0, "yank", [other])
    machine.copy(0, 0, "copy", [other])
    machine.upload(1, 0, by_name[f"{linux}/liba-2.0-0.conda!"], "quetz", force=True)
    machine.copy(0, 0, "promote", [(linux, "liba-1.0-0.conda"), other])
    said: dict[str, Any] = {
        "patch_instructions_version": 2,
        "packages": {older[1]: {"run_exports": {"weak": ["libb"]}, "depends": ["libb <3.0"]}},
        "packages.conda": {other[1]: {"license": None, "run_exports": None}},
    }
    machine.patch(1, 0, linux, said)
    machine.patch(0, 0, linux, {**said, "packages": {}, "revoke": [older[1]]})
    machine.change(1, 0, "unyank", [older, docs])
    machine.patch(0, 0, linux, {**said, "remove": [older[1]]})
    machine.copy(1, 0, "copy", [(linux, PATCHES)])
    machine.change(0, 1, "yank", [(linux, PATCHES)])
    machine.delete_at(1, 0, (linux, PATCHES))
    machine.delete_at(0, 0, newer)
    machine.upload(1, 0, by_name[f"{linux}/liba-1.1-0.conda"], "prefix", force=False)
    for package in (POOL[0], POOL[-1]):
        for fault in FAULTS[:-2]:
            machine.upload_badly(1, 0, package, fault)
    for content in BAD_PATCHES:
        machine.patch_badly(0, 1, content)
    machine.change_without_permission(0, 0, [newer, other])
    machine.change(0, 0, "delete", sorted(machine.channels[0].held))


MakeFleet = Callable[[Path, str], contextlib.AbstractContextManager[Fleet]]


@pytest.mark.parametrize(
    ("fleet", "database_url"),
    [
        pytest.param(in_this_process, "postgres", marks=pytest.mark.postgres),
        (as_processes, "sqlite"),
        pytest.param(in_this_process, "sqlite", marks=pytest.mark.slow),
        pytest.param(as_processes, "postgres", marks=[pytest.mark.slow, pytest.mark.postgres]),
    ],
    indirect=["database_url"],
)
def test_every_server_shows_what_any_has_accepted(
    fleet: MakeFleet, tmp_path: Path, database_url: str
) -> None:
    """Two registries in one process, and two server processes; on each database."""
    with fleet(tmp_path, database_url) as opened:
        tell(opened)
        play(opened)


def stale(patch: pytest.MonkeyPatch) -> None:
    """What was made once is good enough."""
    patch.setattr(indexing._State, "satisfies", lambda self, *_: self.made is not None)


def forgetful(patch: pytest.MonkeyPatch) -> None:
    """A yanked release does not move its partition on."""
    patch.setattr(releases, "_next_serial", lambda *_: 0)


def partial(patch: pytest.MonkeyPatch) -> None:
    """Of several, those that are there change."""
    patch.setattr(releases, "_unseen", lambda *_: [])


def torn(patch: pytest.MonkeyPatch) -> None:
    """A copy that is refused leaves what came before the refusal."""

    def one_by_one(services: Any, changes: Any, _still: Any) -> Any:
        return [blobs.refer(services, change) for change in changes]

    patch.setattr(copying, "refer_all", one_by_one)


def unpatched(patch: pytest.MonkeyPatch) -> None:
    """One kind of documents does without patches."""
    patch.setattr(run_exports, "instructions_of", lambda _query: NOTHING)


def hasty(patch: pytest.MonkeyPatch) -> None:
    """Shards are made of what has changed, and patches are not thought of."""
    patch.setattr(shards, "PATCH_PACKAGE", "")


def lasting(patch: pytest.MonkeyPatch) -> None:
    """Patches that replace others leave those in force."""
    patch.setattr(drafts, "keep_extra", kept_once(drafts.keep_extra))


def kept_once(keep: Callable[..., None]) -> Callable[..., None]:
    def once(transaction: Any, row: Any, extra: bytes) -> None:
        if not row.released:
            keep(transaction, row, extra)

    return once


@pytest.mark.parametrize(
    "fault",
    [
        stale,
        torn,
        *(pytest.param(f, marks=pytest.mark.slow) for f in (forgetful, partial, unpatched)),
        *(pytest.param(f, marks=pytest.mark.slow) for f in (hasty, lasting)),
    ],
    ids=lambda f: f.__name__,
)
def test_planted_faults_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """The comparison is worth something: it sees each of these."""
    with in_this_process(tmp_path, f"sqlite:///{tmp_path / 'catalog.db'}") as fleet:
        fault(monkeypatch)
        with pytest.raises(AssertionError):
            tell(fleet)
