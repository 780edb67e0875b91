"""HTTP as clients of channels use it: conditions, parts, HEAD, caches, and what is not there."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgpack
import pytest
import zstandard
from channel_pool import package

from repocore import Policy

MAIN = "conda/main"
ZLIB = "linux-64/zlib-1.3-0.conda"
TIDE = "linux-64/tide-1.0-0.tar.bz2"
PACKAGES = [ZLIB, TIDE]
JSON = [
    "channeldata.json",
    "linux-64/repodata.json",
    "linux-64/repodata_from_packages.json",
    "linux-64/current_repodata.json",
    "linux-64/run_exports.json",
]
SHARDS = "linux-64/repodata_shards.msgpack.zst"
COMPRESSED = [*(f"{path}.zst" for path in JSON), SHARDS]
DOCUMENTS = [*JSON, *COMPRESSED]
EVERYTHING = [*DOCUMENTS, *PACKAGES, "shard"]
#: Fields of one answer that another one to the same question may have otherwise.
OWN = {"x-request-id", "date"}


@pytest.fixture
def stocked(channel) -> Any:
    """Two packages of both kinds."""
    for path in PACKAGES:
        subdir, _, file = path.partition("/")
        made = channel.put(package(subdir, file, payload=b"tide " * 1000))
        assert made.status == 201
    return channel


def target(channel: Any, path: str) -> str:
    """The URL's path; of ``shard`` that of the first which the index names."""
    if path != "shard":
        return f"/{MAIN}/{path}"
    index = channel.call(f"/{MAIN}/{SHARDS}").body
    read = msgpack.unpackb(zstandard.ZstdDecompressor().decompress(index))
    digest = min(read["shards"].values()).hex()
    return f"/{MAIN}/linux-64/shards/{digest}.msgpack.zst"


@pytest.mark.parametrize("path", EVERYTHING)
def test_what_is_known_is_not_sent_again(stocked, path) -> None:
    """304 by the tag, which is strong and quoted; it repeats the tag and the date, for clients
    fail without.
    """
    at = target(stocked, path)
    whole = stocked.call(at)
    tag, date = whole.headers["etag"], whole.headers["last-modified"]
    assert (whole.status, tag) == (200, f'"{hashlib.sha256(whole.body).hexdigest()}"')
    for method in ("GET", "HEAD"):
        for more in ({}, {"HTTP_IF_MODIFIED_SINCE": date}):
            again = stocked.call(at, method, HTTP_IF_NONE_MATCH=tag, **more)
            assert (again.status, again.body) == (304, b"")
            assert (again.headers["etag"], again.headers["last-modified"]) == (tag, date)
            assert again.headers["cache-control"] == whole.headers["cache-control"]
    other = stocked.call(at, HTTP_IF_NONE_MATCH='"other"', HTTP_IF_MODIFIED_SINCE=date)
    assert (other.status, other.body) == (200, whole.body)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_date_alone_makes_no_document_an_old_one(stocked, path) -> None:
    """It is made twice within a second, and a date tells no two moments of that apart."""
    at = target(stocked, path)
    before = stocked.call(at)
    assert stocked.put(package("linux-64", "new-2.0-0.conda")).status == 201
    since = before.headers["last-modified"]
    after = stocked.call(at, HTTP_IF_MODIFIED_SINCE=since)
    assert after.status == 200
    assert after.body != before.body
    assert after.headers["etag"] != before.headers["etag"]


def test_a_date_tells_that_a_package_is_the_same(stocked) -> None:
    """Its bytes are those that its name had."""
    before = stocked.call(f"/{MAIN}/{ZLIB}")
    again = stocked.call(f"/{MAIN}/{ZLIB}", HTTP_IF_MODIFIED_SINCE=before.headers["last-modified"])
    assert (again.status, again.headers["etag"]) == (304, before.headers["etag"])


@pytest.mark.parametrize("path", [*EVERYTHING, "osx-64/repodata.json", "linux-64/no-1-0.conda"])
def test_head_has_the_fields_of_its_get(stocked, path) -> None:
    """All of them, and no body: clients ask for encodings this way."""
    at = target(stocked, path)
    got, head = stocked.call(at), stocked.call(at, "HEAD")
    assert head.body == b""
    assert head.status == got.status
    assert {k: v for k, v in head.headers.items() if k not in OWN} == {
        k: v for k, v in got.headers.items() if k not in OWN
    }
    assert got.headers["content-length"] == str(len(got.body))


@pytest.mark.parametrize("path", EVERYTHING)
def test_parts_of_everything(stocked, path) -> None:
    """A tail, as a package's metadata are read; the rest, as a download is taken up again."""
    at = target(stocked, path)
    whole = stocked.call(at)
    size = len(whole.body)
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, start, stop in (("0-9", 0, 10), ("-20", size - 20, size), ("30-", 30, size)):
        part = stocked.call(at, HTTP_RANGE=f"bytes={asked}", HTTP_IF_RANGE=whole.headers["etag"])
        assert (part.status, part.body) == (206, whole.body[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert part.headers["etag"] == whole.headers["etag"]
    beyond = stocked.call(at, HTTP_RANGE=f"bytes={size}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")


def test_a_part_of_what_is_another_by_now_is_the_whole(stocked) -> None:
    """Half of one index and half of the next would be nonsense."""
    at = target(stocked, "linux-64/repodata.json")
    before = stocked.call(at)
    stocked.put(package("linux-64", "new-2.0-0.conda"))
    after = stocked.call(at, HTTP_RANGE="bytes=10-", HTTP_IF_RANGE=before.headers["etag"])
    assert after.status == 200
    assert "new-2.0-0.conda" in json.loads(after.body)["packages.conda"]


@pytest.mark.parametrize(
    "path",
    [
        "linux-64/repodata.json.bz2",  # the setting is off
        "linux-64/repodata.json.gz",
        "linux-64/repodata.json.zck",
        "linux-64/repodata.jlap",
        "osx-64/repodata.json",
        "osx-64/repodata.json.zst",
        "osx-64/repodata_shards.msgpack.zst",
        "osx-64/current_repodata.json",
        "notices.json",
        "linux-64/no-1.0-0.conda",
        f"linux-64/shards/{'0' * 64}.msgpack.zst",
        f"{ZLIB}.sigs.{'0' * 64}",
        "index.html",
        "linux-64/",
        "linux-64/index.json",
    ],
)
def test_what_is_not_there_is_a_plain_404(stocked, path) -> None:
    """Short text, whole, and with no word of where else to look: clients go on by themselves."""
    for method in ("GET", "HEAD"):
        answer = stocked.call(f"/{MAIN}/{path}", method)
        assert answer.status in ({400, 404} if path.endswith("/") else {404})
        assert int(answer.headers["content-length"]) < 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert not {"location", "etag", "content-encoding"} & answer.headers.keys()


@pytest.mark.parametrize("path", EVERYTHING)
def test_caches_know_what_may_be_another_soon(stocked, path) -> None:
    """Documents are asked for each time, shards never, packages by whoever has them alone."""
    expected = {"shard": "public, immutable, max-age=31536000"}
    expected |= dict.fromkeys(DOCUMENTS, "no-cache") | dict.fromkeys(PACKAGES, "private, no-cache")
    answer = stocked.call(target(stocked, path))
    assert answer.headers["cache-control"] == expected[path]
    assert ("x-repocore-serial" in answer.headers) is (path in DOCUMENTS)


def test_a_shard_of_a_private_channel_is_for_nobody_elses_cache(stocked) -> None:
    """Whoever keeps it for others cannot see whether they may read it."""
    stocked.allow("user:writer", "read")
    at = target(stocked, "shard")
    stocked.admin.repositories.configure(MAIN, private=True)
    answer = stocked.signed(at)
    assert answer.headers["cache-control"] == "private, immutable, max-age=31536000"


@pytest.mark.parametrize("path", EVERYTHING)
def test_nothing_is_compressed_on_the_way(stocked, path) -> None:
    """What a client hashes and unpacks are the bytes that it gets."""
    at = target(stocked, path)
    plain = stocked.call(at)
    for accepted in ("gzip", "gzip, deflate, br, zstd", "*", "identity;q=0"):
        answer = stocked.call(at, HTTP_ACCEPT_ENCODING=accepted)
        assert answer.body == plain.body
        assert "content-encoding" not in answer.headers


def test_types_tell_what_the_bytes_are(stocked) -> None:
    """No proxy takes a package or an index for something that it may unpack or change."""
    found = {
        path: stocked.call(target(stocked, path)).headers["content-type"] for path in EVERYTHING
    }
    assert {found[path] for path in JSON} == {"application/json"}
    assert {found[path] for path in [*COMPRESSED, "shard"]} == {"application/zstd"}
    assert found[ZLIB] == "application/octet-stream"
    assert found[TIDE] == "application/x-bzip2"


def test_other_bytes_of_a_name_have_another_tag(stocked) -> None:
    """Also within the second of the first ones, and a part of these is no part of those."""
    stocked.admin.repositories.configure(MAIN, policy=Policy(overwrite=True))
    before = stocked.call(f"/{MAIN}/{ZLIB}")
    other = package("linux-64", ZLIB.partition("/")[2], payload=b"other")
    assert stocked.put(other, query="?force=true").status == 201
    after = stocked.call(f"/{MAIN}/{ZLIB}", HTTP_IF_NONE_MATCH=before.headers["etag"])
    assert (after.status, after.body) == (200, other.content)
    part = stocked.call(
        f"/{MAIN}/{ZLIB}", HTTP_RANGE="bytes=5-", HTTP_IF_RANGE=before.headers["etag"]
    )
    assert (part.status, part.body) == (200, other.content)


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS"])
def test_other_methods_are_told_which_there_are(stocked, method) -> None:
    """405 with Allow."""
    answer = stocked.call(f"/{MAIN}/{ZLIB}", method)
    assert answer.status == 405
    assert {"GET", "HEAD", "PUT", "DELETE"} <= set(answer.headers["allow"].split(", "))
