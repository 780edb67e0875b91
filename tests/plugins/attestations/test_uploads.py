"""Packages that come with attestations, over HTTP: taken together, or refused together."""

from __future__ import annotations

import hashlib
import json

import msgpack
import pytest
import zstandard
from channel_pool import package

import repocore
from repocore import Policy
from repocore.config import Settings
from repocore.config.web import WebSettings
from repocore.errors import ConflictError, UploadRejectedError

SITE = "http://server.example"


def sidecar(one, digest):
    return f"{one.path}.sigs.{digest}"


def test_a_package_and_its_attestation_come_together(channels, tide, attest):
    """The record names the digest of the array, which is served under it and never changes."""
    bundle = attest(tide, f"{SITE}/conda/main")
    answer = channels.send("main", tide, bundle)
    assert (answer.status, json.loads(answer.body)) == (201, [tide.path])
    digest = channels.record("main", tide)["attestations_sha256"]
    got = channels.call(f"/conda/main/{sidecar(tide, digest)}", who="writer")
    assert (got.status, json.loads(got.body)) == (200, [bundle])
    assert hashlib.sha256(got.body).hexdigest() == digest
    assert "immutable" in got.headers["cache-control"]
    assert got.headers["content-type"] == "application/json"


def test_the_attestation_may_come_first(channels, tide, attest):
    """Of the parts of a form, neither has to wait for the other."""
    parts = (("attestation", json.dumps([attest(tide)])), ("file", tide.content))
    assert channels.upload("main", *parts, name=tide.file).status == 201
    assert "attestations_sha256" in channels.record("main", tide)


def test_shards_name_it_too(channels, tide, attest):
    """As bytes, like the other digests, and run exports are what they were."""
    channels.send("main", tide, attest(tide))
    digest = channels.record("main", tide)["attestations_sha256"]
    unpack = zstandard.ZstdDecompressor().decompress
    at = "/conda/main/noarch"
    index = msgpack.unpackb(
        unpack(channels.call(f"{at}/repodata_shards.msgpack.zst", who="writer").body)
    )
    name = index["shards"]["tide"].hex()
    shard = channels.call(f"{at}/shards/{name}.msgpack.zst", who="writer").body
    record = msgpack.unpackb(unpack(shard))["packages.conda"][tide.file]
    assert record["attestations_sha256"] == bytes.fromhex(digest)
    assert record["run_exports"] == {"weak": ["tide >=1"]}


def test_other_digests_are_not_there(channels, tide, attest):
    """404 for what was never attested."""
    channels.send("main", tide, attest(tide))
    for digest in ("0" * 64, "x"):
        assert channels.call(f"/conda/main/{sidecar(tide, digest)}", who="writer").status == 404


def test_without_a_policy_it_is_kept_and_told_unverified(channels, tide, attest):
    """The statement is checked all the same."""
    assert channels.send("free", tide, attest(tide, subject="https://else.example/")).status == 201
    [found] = channels.known("free", tide)["attestations"]
    assert (found["verified"], found["subject"]) == (False, None)
    assert found["reason"] == "no policy covers the package"


def test_with_a_policy_the_signer_is_told(channels, tide, attest):
    """Whoever asks learns who signed, and who vouched for that."""
    channels.send("main", tide, attest(tide, f"{SITE}/get/main"))
    [found] = channels.known("main", tide)["attestations"]
    assert found["verified"]
    assert found["issuer"] == "https://ci.example"
    assert found["subject"].startswith("https://ci.example/harbour/")
    assert found["target_channel"] == f"{SITE}/get/main"


def test_a_policy_may_require_one(channels, tide, attest):
    """Whichever way the package comes; nothing of what is refused is left."""
    assert channels.send("strict", tide).status == 422
    put = channels.call(f"/conda/strict/{tide.path}", "PUT", "writer", body=tide.content)
    assert put.status == 422
    assert b"attestation" in put.body
    assert (channels.files("strict"), channels.record("strict", tide)) == ([], None)
    assert channels.send("strict", tide, attest(tide)).status == 201


@pytest.mark.parametrize("channel", ["main", "free"])
def test_a_wrong_attestation_refuses_the_package_too(channels, tide, attest, channel):
    """One of another channel, one of another package, one that is none: nothing is stored."""
    other = package("noarch", "tide-1.0-1.conda")
    wrong = (attest(tide, "https://else.example/main"), attest(other), {"a": 1}, "text", [])
    for bundle in wrong[:-1]:
        answer = channels.send(channel, tide, bundle)
        assert answer.status == 422, answer.body
        assert "attestation" in answer.body.decode()
    assert (channels.files(channel), channels.record(channel, tide)) == ([], None)


def test_a_foreign_signature_refuses_the_package_where_a_policy_asks(channels, tide, attest):
    """Another workflow of the same CI is somebody else."""
    bundle = attest(tide, subject="https://ci.example/elsewhere/release.yml")
    answer = channels.send("main", tide, bundle)
    assert answer.status == 422
    assert b"nobody whom the policy names" in answer.body
    assert channels.files("main") == []


def test_bounds(channels, tide, attest):
    """64 KiB each, ten of a package; more is refused before anything is stored."""
    large = {**attest(tide), "padding": "x" * (64 << 10)}
    assert channels.send("free", tide, large).status == 413
    assert channels.send("free", tide, [attest(tide) for _ in range(11)]).status == 422
    assert channels.upload("free", ("attestation", "x" * (5 << 20))).status == 413
    assert channels.files("free") == []
    assert channels.send("free", tide, [attest(tide) for _ in range(10)]).status == 201


def test_bytes_that_are_no_json_are_refused(channels, tide):
    """A sentence says what to send."""
    for text in ("{", "NaN", '"\\ud800"', "[" * 100_000):
        parts = (("file", tide.content), ("attestation", text))
        answer = channels.upload("free", *parts, name=tide.file)
        assert answer.status == 422, text[:9]
        assert b"Sigstore bundle" in answer.body


def test_the_same_bytes_again_keep_what_is_attested(channels, tide, attest):
    """And get what they lack: each attestation once, in the order in which they came."""
    first, second = attest(tide), attest(tide)
    channels.send("main", tide, first)
    before = channels.record("main", tide)
    put = channels.call(f"/conda/main/{tide.path}", "PUT", "writer", body=tide.content)
    assert put.status == 201
    assert channels.send("main", tide, first).status == 201
    assert channels.record("main", tide) == before
    assert channels.send("main", tide, second).status == 201
    now = channels.record("main", tide)
    assert now["attestations_sha256"] != before["attestations_sha256"]
    assert now["indexed_timestamp"] == before["indexed_timestamp"]
    assert channels.admin.attestations.get("conda/main", tide.path) == [first, second]
    assert len(channels.files("main")) == 2


def test_other_bytes_have_no_attestation_of_the_ones_before(channels, attest):
    """What is replaced takes along what was said of it."""
    channels.admin.repositories.configure("conda/free", policy=Policy(overwrite=True))
    one, other = (package("noarch", "tide-1.0-0.conda", payload=text) for text in (b"1", b"2"))
    channels.send("free", one, attest(one))
    answer = channels.call(
        f"/conda/free/{one.path}?force=true", "PUT", "writer", body=other.content
    )
    assert answer.status == 201, answer.body
    assert "attestations_sha256" not in channels.record("free", one)
    assert channels.files("free") == [one.path]


def test_two_packages_in_a_form(channels, tide, attest):
    """Each has the attestation that stands behind it."""
    answer = channels.upload(
        "main",
        ("file", tide.content),
        ("attestation", json.dumps(attest(tide))),
        ("file", tide.content),
        name=tide.file,
    )
    assert (answer.status, len(json.loads(answer.body))) == (201, 2)


def test_attestations_are_deleted_with_their_package(channels, tide, attest):
    """Nothing is left of either."""
    channels.send("main", tide, attest(tide))
    digest = channels.record("main", tide)["attestations_sha256"]
    assert channels.call(f"/conda/main/{tide.path}", "DELETE", "writer").status == 204
    assert channels.call(f"/conda/main/{sidecar(tide, digest)}", who="writer").status == 404
    assert channels.files("main") == []


def test_nobody_writes_or_deletes_them_alone(channels, tide, attest):
    """They come with their package, or by their own route, and the record stays true."""
    channels.send("main", tide, attest(tide))
    path = sidecar(tide, channels.record("main", tide)["attestations_sha256"])
    assert channels.call(f"/conda/main/{path}", "PUT", "writer", body=b"[]").status == 422
    assert channels.call(f"/conda/main/{path}", "DELETE", "writer").status == 400
    with pytest.raises(ConflictError, match="is a part of release"):
        channels.admin.files.delete("conda/main", path)


def test_looking_at_them_is_no_download(channels, tide, attest):
    """A client that verifies has not fetched the package yet."""
    channels.send("main", tide, attest(tide))
    path = sidecar(tide, channels.record("main", tide)["attestations_sha256"])
    channels.call(f"/conda/main/{path}", who="writer")
    assert channels.downloads("main") == 0
    channels.call(f"/conda/main/{tide.path}", who="writer")
    assert channels.downloads("main") == 1


def test_a_copy_needs_what_its_channel_requires(channels, tide, attest):
    """Whoever signed is asked again; which channel it was for is not."""
    copied = [("noarch", tide.file)]
    channels.send("free", tide)
    with pytest.raises(UploadRejectedError, match="needs an attestation"):
        channels.admin.releases.copy("conda/free", copied, "conda/strict")
    channels.send("free", tide, attest(tide, subject="https://else.example/"))
    with pytest.raises(UploadRejectedError, match="nobody whom the policy names"):
        channels.admin.releases.copy("conda/free", copied, "conda/strict")
    channels.send("main", tide, attest(tide, f"{SITE}/conda/main"))
    channels.admin.releases.copy("conda/main", copied, "conda/strict")
    assert channels.known("strict", tide)["attestations"][0]["verified"]


def test_the_api_may_be_off(tmp_path):
    """Then its route is not there; packages are taken with attestations all the same."""
    settings = Settings(data=tmp_path, web=WebSettings(api=False))
    with repocore.open_registry(settings=settings) as registry:
        templates = {route.template for route in registry.routes()}
    assert not [one for one in templates if "attestations" in one]
    assert "/api/v1/upload/{channel}" in templates
