"""What conda sends, byte for byte over a socket, in its order; and what it needs of the answers.

The program itself is not among the packages that can be installed here: these are its requests,
as they were seen on a wire.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urljoin

import attrs
import msgpack
import pytest
import zstandard
from conda_channels import Harbourmaster, Quay, note

pytestmark = pytest.mark.clients
AGENT = "conda/26.9.0 requests/2.34.2 CPython/3.13.5 Linux/6.1.0 debian/12 glibc/2.36 rattler/0.2.0"
INDEX = "repodata_shards.msgpack.zst"
SUBDIRS = ("linux-64", "noarch")
PATH = "linux-64/tide-1.0-0.conda"


@attrs.frozen
class Answer:
    """A status, header fields by lower-case name, and the body."""

    status: int
    fields: Mapping[str, str]
    body: bytes


@attrs.define
class Conda:
    """One kept connection, as conda's session has; ``prefix`` goes before each path."""

    wire: socket.socket
    host: str
    prefix: str
    signed: str = ""

    def ask(self, path: str, *, method: str = "GET", accept: str = "*/*", **more: str) -> Answer:
        """Send a request in the order and spelling of conda's own; keywords are more fields."""
        lines = [
            f"{method} {self.prefix}/{path} HTTP/1.1",
            f"Host: {self.host}",
            f"User-Agent: {AGENT}",
            "Accept-Encoding: gzip, deflate, br, zstd",
            f"Accept: {accept}",
            "Connection: keep-alive",
            *(f"{name.replace('_', '-')}: {value}" for name, value in more.items()),
            *([f"Authorization: {self.signed}"] if self.signed else []),
        ]
        self.wire.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = http.client.HTTPResponse(self.wire, method=method)
        answer.begin()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, fields, answer.read())


@pytest.fixture
def quay(quay: Quay) -> Quay:
    """A channel with one package, put there in one request."""
    quay.put(f"/{PATH}", note("tide", "1.0"))
    return quay


@pytest.fixture
def conda(quay: Quay) -> Iterator[Conda]:
    """A client that nobody knows."""
    with connected(quay) as wire:
        yield Conda(wire, quay.server.address.removeprefix("http://"), f"/{quay.address}")


@pytest.fixture
def private(harbourmaster: Harbourmaster, tmp_path: Path) -> Iterator[tuple[Quay, Conda]]:
    """The same at a private channel."""
    number = len(harbourmaster.session.repositories.list())
    quay = harbourmaster.quay(f"hidden-{number}", tmp_path / "quay", private=True)
    quay.put(f"/{PATH}", note("tide", "1.0"))
    with connected(quay) as wire:
        yield quay, Conda(wire, quay.server.address.removeprefix("http://"), f"/{quay.address}")


def connected(quay: Quay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", quay.server.port), timeout=60)


def unpacked(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


def index_of(answer: Answer) -> dict[str, dict[str, bytes]]:
    assert answer.status == 200
    return msgpack.unpackb(unpacked(answer.body))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_first_run_by_shards(conda):
    """Notices, shard indexes, the shards of what is wanted, the package: on one connection."""
    assert conda.ask("notices.json").status == 404
    indexes = {subdir: index_of(conda.ask(f"{subdir}/{INDEX}")) for subdir in SUBDIRS}
    assert indexes["noarch"]["shards"] == {}
    info = indexes["linux-64"]["info"]
    assert (info["subdir"], info["base_url"]) == ("linux-64", "")
    digest = bytes(indexes["linux-64"]["shards"]["tide"])
    below = urljoin("linux-64/", info["shards_base_url"])
    shard = conda.ask(f"{below}{digest.hex()}.msgpack.zst")
    assert hashlib.sha256(shard.body).digest() == digest
    found = msgpack.unpackb(unpacked(shard.body))
    assert found["packages"] == {}
    (record,) = found["packages.conda"].values()
    fetched = conda.ask(PATH)
    assert bytes(record["sha256"]) == hashlib.sha256(fetched.body).digest()
    assert int(fetched.fields["content-length"]) == record["size"] == len(fetched.body)


def test_a_first_run_of_the_classic_solver(conda):
    """Notices, then the current index of both subdirs in one encoding or the other."""
    assert conda.ask("notices.json").status == 404
    for subdir in SUBDIRS:
        small = conda.ask(f"{subdir}/current_repodata.json.zst")
        assert small.status in {200, 404}
        whole = conda.ask(f"{subdir}/repodata.json.zst")
        plain = conda.ask(f"{subdir}/repodata.json")
        assert json.loads(unpacked(whole.body)) == json.loads(plain.body)
    for encoded in (whole, small):
        assert "content-encoding" not in encoded.fields


@pytest.mark.parametrize(
    "path", [f"linux-64/{INDEX}", "linux-64/repodata.json", "noarch/repodata.json.zst"]
)
def test_a_second_run_gets_304_with_both_validators(conda, path):
    """Tag and date are sent back, and repeated; there is no body, and the connection is kept."""
    first = conda.ask(path)
    tag, date = first.fields["etag"], first.fields["last-modified"]
    assert tag.startswith('"')
    for sent in ({"If_None_Match": tag, "If_Modified_Since": date}, {"If_None_Match": tag}):
        again = conda.ask(path, **sent)
        assert (again.status, again.body) == (304, b"")
        assert (again.fields["etag"], again.fields["last-modified"]) == (tag, date)
        assert again.fields["cache-control"] == first.fields["cache-control"]
    assert conda.ask(path).body == first.body


def test_a_new_package_ends_the_304(quay, conda):
    """What a client has is not the newest any more as soon as an upload has been answered."""
    for path in (f"linux-64/{INDEX}", "linux-64/repodata.json.zst"):
        before = conda.ask(path).fields
        version = "1.1" if INDEX in path else "1.2"
        quay.put(f"/linux-64/tide-{version}-0.conda", note("tide", version))
        sent = {"If_None_Match": before["etag"], "If_Modified_Since": before["last-modified"]}
        after = conda.ask(path, **sent)
        assert after.status == 200
        assert after.fields["etag"] != before["etag"]


def test_each_encoding_has_its_own_tag(conda):
    """A cache never takes one form of an index for another."""
    tags = {
        conda.ask(f"linux-64/{n}").fields["etag"] for n in ("repodata.json", "repodata.json.zst")
    }
    assert len(tags) == 2


def test_a_download_is_resumed(conda):
    """The rest of a package is a 206 with its place in the whole, and no byte twice."""
    whole = conda.ask(PATH)
    assert whole.fields["accept-ranges"] == "bytes"
    got = len(whole.body) // 3
    rest = conda.ask(PATH, Range=f"bytes={got}-")
    size = len(whole.body)
    assert rest.status == 206
    assert rest.fields["content-range"] == f"bytes {got}-{size - 1}/{size}"
    assert whole.body[:got] + rest.body == whole.body


def test_a_part_that_is_whole_already_is_a_416(conda):
    """A client whose part is complete is told the size, and starts over or takes it."""
    size = len(conda.ask(PATH).body)
    answer = conda.ask(PATH, Range=f"bytes={size}-")
    assert answer.status == 416
    assert answer.fields["content-range"] == f"bytes */{size}"


def test_metadata_is_read_from_the_end_of_a_package(conda):
    """A reader of metadata asks for the last bytes only."""
    whole = conda.ask(PATH).body
    tail = conda.ask(PATH, Range="bytes=-128")
    assert (tail.status, tail.body) == (206, whole[-128:])


@pytest.mark.parametrize("path", [PATH, f"noarch/{INDEX}", "noarch/repodata.json.zst"])
def test_head_is_the_beginning_of_get(conda, path):
    """The fields are those of GET, the length too; the connection goes on."""
    head, get = conda.ask(path, method="HEAD"), conda.ask(path)
    assert (head.status, head.body) == (200, b"")
    for name in ("content-length", "content-type", "etag", "last-modified", "accept-ranges"):
        assert head.fields[name] == get.fields[name], name


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        "win-64/repodata.json",
        "win-64/repodata.json.zst",
        f"win-64/{INDEX}",
        "linux-64/repodata.json.bz2",
        "linux-64/repodata.jlap",
        "linux-64/absent-1.0-0.conda",
        "notices.json",
        "no-subdir",
    ],
)
def test_what_is_missing_is_a_short_404(conda, path, method):
    """A subdir without packages, a form that is not made, a package that never was."""
    answer = conda.ask(path, method=method)
    assert answer.status == 404
    assert int(answer.fields["content-length"]) < 100
    assert conda.ask("noarch/repodata.json").status == 200


@pytest.mark.parametrize("name", ["repodata.json", "repodata.json.zst", INDEX])
def test_noarch_is_there_from_the_birth_of_a_channel(harbourmaster, quay, conda, tmp_path, name):
    """A channel without a package is a channel, and not an error."""
    empty = harbourmaster.quay(f"{quay.name}-empty", tmp_path / "empty")
    conda.prefix = f"/{empty.address}"
    assert conda.ask(f"noarch/{name}").status == 200
    assert conda.ask(f"linux-64/{name}").status == 404


def test_the_token_in_the_path(private):
    """The path's token is read wherever the client puts it, but notices are asked without."""
    quay, conda = private
    assert conda.ask("notices.json").status == 404
    conda.prefix = f"/t/{quay.token}/{quay.address}"
    for path in (f"linux-64/{INDEX}", "noarch/repodata.json.zst", PATH):
        answer = conda.ask(path)
        assert answer.status == 200
        assert "public" not in answer.fields.get("cache-control", "")
    conda.prefix = f"/t/rpc-nobody-knows-it/{quay.address}"
    assert conda.ask("noarch/repodata.json").status == 401


@pytest.mark.parametrize("user", ["__token__", "token", "anything"])
def test_basic_is_sent_before_it_is_asked_for(private, user):
    """A token as the password signs in, whatever the user is called."""
    quay, conda = private
    conda.signed = basic(user, quay.token)
    for path in (f"linux-64/{INDEX}", "linux-64/repodata.json", PATH):
        assert conda.ask(path).status == 200


def test_basic_with_a_wrong_password_is_401(private):
    """Never 404, which a client would take for an empty subdir."""
    quay, conda = private
    conda.signed = basic("admin", "wrong")
    for path in ("linux-64/repodata.json", f"noarch/{INDEX}", PATH):
        answer = conda.ask(path)
        assert answer.status == 401
        assert "basic" in answer.fields["www-authenticate"].lower()
    assert quay.ask("GET", "/noarch/repodata.json").status == 200


def test_without_credentials_a_private_channel_is_one_that_never_was(private):
    """Status, body and fields are those of a channel that is not there."""
    quay, conda = private
    said = []
    for address in (quay.address, "conda/never-was"):
        conda.prefix = f"/{address}"
        for path in ("noarch/repodata.json", PATH, "notices.json"):
            answer = conda.ask(path)
            varying = {"date", "x-request-id"}
            fields = {n: v for n, v in answer.fields.items() if n not in varying}
            said.append((answer.status, fields, answer.body))
    assert said[:3] == said[3:]
    assert {status for status, _, _ in said} == {404}
