"""The paths of a channel: reading, plain uploads, deleting, and what is said to whom."""

from __future__ import annotations

import hashlib
import json

import msgpack
import pytest
import zstandard
from channel_pool import package
from wsgi_calls import basic

from repocore import Policy

MAIN = "conda/main"


def test_a_channel_is_one_from_birth(channel) -> None:
    """Clients take a channel without noarch for none; other subdirs may be missing."""
    answer = channel.call(f"/{MAIN}/noarch/repodata.json")
    assert answer.status == 200
    assert json.loads(answer.body)["info"] == {"subdir": "noarch"}
    assert channel.call(f"/{MAIN}/noarch/repodata_shards.msgpack.zst").status == 200
    assert channel.call(f"/{MAIN}/linux-64/repodata.json").status == 404


def test_put_publishes_at_once(channel, zlib) -> None:
    """201, where it is and what it hashes to; the index that is asked for next has it."""
    answer = channel.put(zlib)
    assert answer.status == 201
    told = json.loads(answer.body)
    assert told["sha256"] == zlib.sha256
    assert answer.headers["location"] == f"http://server.example/{MAIN}/{zlib.path}"
    assert channel.names("linux-64") == [zlib.file]
    body = channel.call(f"/{MAIN}/{zlib.path}")
    assert (body.status, hashlib.sha256(body.body).hexdigest()) == (200, zlib.sha256)


def test_the_same_bytes_again_are_no_conflict(channel, zlib) -> None:
    """Whoever did not hear the first answer may send it again."""
    channel.put(zlib)
    before = channel.repodata("linux-64")
    assert channel.put(zlib).status == 201
    assert channel.repodata("linux-64") == before


def test_other_bytes_are_refused_and_change_nothing(channel, zlib) -> None:
    """Also by force, until the channel's policy allows it; lock files name bytes."""
    channel.put(zlib)
    before = channel.call(f"/{MAIN}/linux-64/repodata.json").body
    other = package("linux-64", zlib.file, payload=b"other")
    for query in ("", "?force=true"):
        answer = channel.put(other, query=query)
        assert answer.status == 409
        assert "published with other content" in answer.text
    assert channel.call(f"/{MAIN}/linux-64/repodata.json").body == before


def test_force_replaces_where_the_policy_lets_it(channel, zlib) -> None:
    """Without the word even then not: an upload that was repeated by mistake replaces nothing."""
    channel.admin.repositories.configure(MAIN, policy=Policy(overwrite=True))
    channel.put(zlib)
    other = package("linux-64", zlib.file, payload=b"other")
    refused = channel.put(other)
    assert (refused.status, "does not ask to replace" in refused.text) == (409, True)
    assert channel.put(other, query="?force=true").status == 201
    record = channel.repodata("linux-64")["packages.conda"][zlib.file]
    assert record["sha256"] == other.sha256


def test_what_replaces_a_yanked_file_is_listed(channel, zlib) -> None:
    """It is another package; the same bytes are refused, since no index would have them."""
    channel.admin.repositories.configure(MAIN, policy=Policy(overwrite=True))
    channel.put(zlib)
    channel.admin.releases.yank(MAIN, "linux-64", zlib.file)
    for query in ("", "?force=true"):
        refused = channel.put(zlib, query=query)
        assert (refused.status, "is yanked; put it back" in refused.text) == (409, True)
    assert channel.repodata("linux-64")["packages.conda"] == {}
    other = package("linux-64", zlib.file, payload=b"other")
    assert channel.put(other, query="?force=true").status == 201
    document = channel.repodata("linux-64")
    assert document["packages.conda"][zlib.file]["sha256"] == other.sha256
    assert document["removed"] == []


def test_deleting_takes_it_out_of_every_index(channel, zlib, tide) -> None:
    """204, then 404; the index names it as removed."""
    channel.put(zlib)
    assert channel.signed(f"/{MAIN}/{zlib.path}", "DELETE").status == 204
    assert channel.call(f"/{MAIN}/{zlib.path}").status == 404
    assert channel.repodata("linux-64")["removed"] == [zlib.file]
    assert channel.signed(f"/{MAIN}/{zlib.path}", "DELETE").status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_changes_need_their_permissions(channel, zlib, method) -> None:
    """401 for nobody, 403 for who may read, before the body is read."""
    channel.put(zlib)
    target = f"/{MAIN}/{zlib.path}"
    assert channel.call(target, method, body=b"x").status == 401
    answer = channel.signed(target, method, "reader", body=b"x")
    assert answer.status == 403


def test_what_may_not_be_read_is_not_there(channel, zlib) -> None:
    """The same answer for a private channel, a missing one and a missing file; never a 401."""
    channel.put(zlib)
    channel.admin.repositories.configure(MAIN, private=True)
    rules = channel.admin.accounts
    for rule in rules.rules():
        if rule.subject == "*":
            rules.remove_rule(rule.id)
    hidden = channel.call(f"/{MAIN}/{zlib.path}")
    missing = channel.call("/conda/nothing/linux-64/zlib-1.3-0.conda")
    assert (hidden.status, hidden.body) == (missing.status, missing.body) == (404, missing.body)
    index = channel.call(f"/{MAIN}/noarch/repodata.json")
    assert (index.status, index.body) == (404, missing.body)
    assert channel.signed(f"/{MAIN}/{zlib.path}").status == 200


def test_wrong_credentials_are_told(channel) -> None:
    """They are not the lack of credentials."""
    wrong = basic("writer", "low-water")
    answer = channel.call(f"/{MAIN}/noarch/repodata.json", HTTP_AUTHORIZATION=wrong)
    assert answer.status == 401


@pytest.mark.parametrize("field", ["HTTP_X_CHECKSUM_SHA256", "HTTP_X_FILE_SHA256"])
def test_announced_checksums_are_compared(channel, zlib, field) -> None:
    """A body that was damaged on its way changes nothing."""
    target = f"/{MAIN}/{zlib.path}"
    sent = {"body": zlib.content, field: "0" * 64}
    assert channel.signed(target, "PUT", **sent).status == 400
    assert channel.signed(target, "PUT", **{**sent, field: "rubbish"}).status == 400
    assert channel.call(target).status == 404
    assert channel.signed(target, "PUT", **{**sent, field: zlib.sha256}).status == 201


def test_documents_are_asked_for_each_time_and_shards_never(channel, zlib) -> None:
    """Whoever has one sends its ETag; what is named by its content needs no asking."""
    channel.put(zlib)
    index = channel.call(f"/{MAIN}/linux-64/repodata_shards.msgpack.zst")
    assert index.headers["cache-control"] == "no-cache"
    assert index.headers["x-repocore-serial"] == "1"
    again = channel.call(
        f"/{MAIN}/linux-64/repodata_shards.msgpack.zst", HTTP_IF_NONE_MATCH=index.headers["etag"]
    )
    assert (again.status, again.headers["etag"]) == (304, index.headers["etag"])
    assert "last-modified" in again.headers
    shard = shards_of(index.body)[0]
    answer = channel.call(f"/{MAIN}/linux-64/shards/{shard}.msgpack.zst")
    assert answer.headers["cache-control"] == "public, immutable, max-age=31536000"
    assert hashlib.sha256(answer.body).hexdigest() == shard


def shards_of(index: bytes) -> list[str]:
    read = msgpack.unpackb(zstandard.ZstdDecompressor().decompressobj().decompress(index))
    return [digest.hex() for digest in read["shards"].values()]


def test_a_package_that_is_not_what_its_name_says_is_refused(channel, zlib) -> None:
    """T5: the file name and the subdir are the package's own; 422, and nothing is there."""
    for path in (
        "linux-64/zlib-1.4-0.conda",
        "linux-64/libz-1.3-0.conda",
        "osx-64/zlib-1.3-0.conda",
    ):
        answer = channel.signed(f"/{MAIN}/{path}", "PUT", body=zlib.content)
        assert answer.status == 422, answer.text
        assert channel.call(f"/{MAIN}/{path}").status == 404
    assert channel.names("noarch") == []


@pytest.mark.parametrize(
    "path",
    ["linux-64/zlib.conda", "linux-64/zlib-1.3-0.zip", "zlib-1.3-0.conda", "LINUX/z-1-0.conda"],
)
def test_a_path_that_no_package_has_is_refused(channel, path) -> None:
    """With the form that one has."""
    answer = channel.signed(f"/{MAIN}/{path}", "PUT", body=b"x")
    assert answer.status == 400


def test_patches_are_a_file_of_the_subdir(channel, zlib) -> None:
    """They are applied to every index at once, may be replaced, and go when they are deleted."""
    channel.put(zlib)
    target = f"/{MAIN}/linux-64/patch_instructions.json"
    for license_ in ("Zlib", "Zlib-2"):
        patch = {
            "patch_instructions_version": 1,
            "packages": {},
            "packages.conda": {zlib.file: {"license": license_}},
            "remove": [],
            "revoke": [],
        }
        assert channel.signed(target, "PUT", body=json.dumps(patch).encode()).status == 201
        record = channel.repodata("linux-64")["packages.conda"][zlib.file]
        assert record["license"] == license_
    assert json.loads(channel.call(target).body)["packages.conda"]
    assert channel.signed(target, "DELETE").status == 204
    assert channel.repodata("linux-64")["packages.conda"][zlib.file]["license"] == "MIT"


def test_patches_that_mean_nothing_are_refused(channel, zlib) -> None:
    """Each with a sentence; the index stays."""
    channel.put(zlib)
    before = channel.call(f"/{MAIN}/linux-64/repodata.json").body
    target = f"/{MAIN}/linux-64/patch_instructions.json"
    for body in (b"[]", b"{", b'{"patch_instructions_version": 9}'):
        assert channel.signed(target, "PUT", body=body).status == 422
    assert channel.call(f"/{MAIN}/linux-64/repodata.json").body == before
