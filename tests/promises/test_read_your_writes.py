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
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from wsgi_calls import Answer, basic, call

import repocore
from repocore import Policy, Registry, Rule, actions_of
from repocore.registry import Session
from repocore_web import create_app

EXAMPLES = int(os.environ.get("REPOCORE_PROMISES", "3"))
STEPS = 30 if EXAMPLES > 10 else 12
#: Clocks are read in different processes, and a stamp is cut to the millisecond.
SLACK = 2
POOL = pool()
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


@attrs.frozen
class Listening:
    """A server process."""

    port: int
    _kept: list[http.client.HTTPConnection] = attrs.field(factory=list, init=False)

    def __call__(self, target: str, method: str = "GET", **fields: Any) -> Answer:
        body = fields.pop("body", None)
        headers = {name.removeprefix("HTTP_").replace("_", "-"): v for name, v in fields.items()}
        if not self._kept:
            self._kept.append(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60))
        connection = self._kept[0]
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        read = answer.read()
        if answer.will_close:
            self._kept.pop().close()
        return Answer(answer.status, found, read)


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
        ports: list[int] = []
        for _ in range(2):
            process = launch(data, REPOCORE_ADMIN_PASSWORD="high-water")
            stack.enter_context(finished(process))
            stack.callback(process.terminate)
            ports.append(int(read_document(process)["addresses"][0].rpartition(":")[2]))
        registry = stack.enter_context(repocore.open_registry(data))
        yield furnished(registry, [Listening(port) for port in ports])


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
files = st.sampled_from([one.file for one in POOL])
newer_files = st.sampled_from([one.file for one in POOL if one.file.endswith(".conda")])
older_files = st.sampled_from([one.file for one in POOL if one.file.endswith(".tar.bz2")])
fields = st.fixed_dictionaries(
    {},
    optional={
        "depends": st.sampled_from([[], ["liba <2.0"], ["docs", "libb >=3.0"]]),
        "constrains": st.sampled_from([["libb <3.0"], None]),
        "license": st.sampled_from(["ISC", None]),
        "run_exports": st.sampled_from([{"weak": ["libb"]}, {}, None]),
    },
)
instructions = st.fixed_dictionaries(
    {"patch_instructions_version": st.just(2)},
    optional={
        "packages": st.dictionaries(older_files, fields, max_size=3),
        "packages.conda": st.dictionaries(newer_files, fields, max_size=3),
        "revoke": st.lists(files, max_size=2, unique=True),
        "remove": st.lists(files, max_size=2, unique=True),
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
        """Up to three names, mostly of what there is."""
        there = sorted(channel.held) or KEYS
        keys = st.one_of(st.sampled_from(there), st.sampled_from(there), st.sampled_from(KEYS))
        return data.draw(st.lists(keys, min_size=1, max_size=3, unique=True))

    def timed(self, work: Callable[[], int]) -> tuple[int, Span]:
        """A status, and the milliseconds in which the server has worked."""
        earliest = now() - SLACK
        status = work()
        return status, (earliest, now() + SLACK)

    # ------------------------------------------------------------------------------- rules

    @rule(
        server=which,
        place=which,
        package=packages,
        how=st.sampled_from(["put", "quetz", "prefix"]),
        force=st.booleans(),
    )
    def upload(self, server: int, place: int, package: Packaged, how: str, force: bool) -> None:
        """In each of the three forms; whoever forces it may replace bytes, where the channel lets
        them.
        """
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

    @rule(
        server=which,
        place=which,
        package=packages,
        fault=st.sampled_from(["cut", "name", "subdir", "hash", "nobody", "reader", "expired"]),
    )
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
                "expired": basic("writer", "low-water"),
            }[fault]
        target = f"/conda/{self.channels[place].name}/{path}"
        status = self.ask(server, target, "PUT", body=body, **more).status
        expected = {"hash": 400, "nobody": 401, "reader": 403, "expired": 401}.get(fault, 422)
        self.judge(server, status, expected, before)

    @rule(server=which, place=which, data=st.data(), verb=st.sampled_from(["yank", "unyank"]))
    def yank(self, server: int, place: int, data: st.DataObject, verb: str) -> None:
        """All that are named, or none."""
        channel, before = self.channels[place], self.state()
        keys = self.some(data, channel)
        status = self.post(server, verb, channel, keys)
        self.judge(server, status, channel.yank(keys, to=verb == "yank"), before)

    @rule(server=which, place=which, data=st.data())
    def delete(self, server: int, place: int, data: st.DataObject) -> None:
        """Several in one request."""
        channel, before = self.channels[place], self.state()
        keys = self.some(data, channel)
        status = self.post(server, "delete", channel, keys)
        self.judge(server, status, channel.delete(keys), before)
        for subdir, name in keys if status == 200 else ():
            gone = self.fleet.servers[1 - server](f"/conda/{channel.name}/{subdir}/{name}")
            assert gone.status == 404

    @rule(server=which, place=which, data=st.data())
    def delete_by_path(self, server: int, place: int, data: st.DataObject) -> None:
        """One, by its path in the channel."""
        channel, before = self.channels[place], self.state()
        key = self.some(data, channel)[0]
        target = f"/conda/{channel.name}/{'/'.join(key)}"
        status = self.ask(server, target, "DELETE").status
        self.judge(server, status, {200: 204}.get(e := channel.delete([key]), e), before)

    @rule(server=which, place=which, subdir=st.sampled_from(SUBDIRS), said=instructions)
    def patch(self, server: int, place: int, subdir: str, said: dict[str, Any]) -> None:
        """Patches take the place of those before."""
        channel, before = self.channels[place], self.state()
        content = json.dumps(said).encode()
        target = f"/conda/{channel.name}/{subdir}/{PATCHES}"
        status, span = self.timed(lambda: self.ask(server, target, "PUT", body=content).status)
        self.judge(server, status, channel.patch(subdir, content, span), before)

    @rule(server=which, place=which, content=st.sampled_from(BAD_PATCHES))
    def patch_badly(self, server: int, place: int, content: bytes) -> None:
        """What cannot be applied is not taken."""
        before = self.state()
        target = f"/conda/{self.channels[place].name}/noarch/{PATCHES}"
        self.judge(server, self.ask(server, target, "PUT", body=content).status, 422, before)

    @rule(server=which, place=which, data=st.data(), verb=st.sampled_from(["copy", "promote"]))
    def copy(self, server: int, place: int, data: st.DataObject, verb: str) -> None:
        """To the other channel: all, or, where one of them is there with other bytes, none."""
        channel, target = self.channels[place], self.channels[1 - place]
        before = self.state()
        keys = self.some(data, channel)
        address = f"conda/{target.name}"
        status, span = self.timed(lambda: self.post(server, verb, channel, keys, target=address))
        self.judge(server, status, channel.copy_to(target, keys, span), before)

    @rule(server=which, place=which, data=st.data())
    def change_without_permission(self, server: int, place: int, data: st.DataObject) -> None:
        """A reader yanks, deletes, copies and patches nothing."""
        channel, before = self.channels[place], self.state()
        keys = self.some(data, channel)
        releases = [{"partition": subdir, "name": name} for subdir, name in keys]
        body = {"repository": f"conda/{channel.name}", "releases": releases}
        reader = {"HTTP_AUTHORIZATION": self.fleet.reader}
        for verb in ("yank", "unyank", "delete"):
            asked = json.dumps(body).encode()
            target = f"/api/v1/releases/{verb}"
            assert self.ask(server, target, "POST", body=asked, **reader).status == 403
        target = f"/conda/{channel.name}/noarch/{PATCHES}"
        status = self.ask(server, target, "PUT", body=b"{}", **reader).status
        self.judge(server, status, 403, before)


def play(fleet: Fleet, examples: int = EXAMPLES) -> None:
    # The servers keep what was played before, so there is nothing to play again as it was.
    phases = [Phase.generate, *([Phase.shrink] if examples < 10 else [])]
    wanted = settings(max_examples=examples, stateful_step_count=STEPS, phases=phases)
    run_state_machine_as_test(lambda: ChannelsMachine(fleet), settings=wanted)


# ---------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize("fleet", [in_this_process, as_processes])
def test_every_server_shows_what_any_has_accepted(
    fleet: Callable[[Path, str], contextlib.AbstractContextManager[Fleet]],
    tmp_path: Path,
    database_url: str,
) -> None:
    """Two registries in one process, and two server processes; on each database."""
    with fleet(tmp_path, database_url) as opened:
        play(opened)
