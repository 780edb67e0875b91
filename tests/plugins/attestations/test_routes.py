"""``/api/v1/repositories/…/attestations``: what is known of a package, and more of it."""

from __future__ import annotations

import json

import pytest

AT = "/api/v1/repositories/conda"


def at(channel, one):
    return f"{AT}/{channel}/attestations/{one.path}"


def test_one_may_be_added_later(channels, tide, attest):
    """The package keeps its place and time; every index names the new digest."""
    channels.send("main", tide)
    before = channels.record("main", tide)
    assert "attestations_sha256" not in before
    first, second = attest(tide), attest(tide)
    for count, bundle in enumerate((first, second, second, [first, second]), start=1):
        answer = channels.call(at("main", tide), "POST", "writer", body=json.dumps(bundle).encode())
        assert answer.status == 201, answer.body
        assert len(json.loads(answer.body)["attestations"]) == min(count, 2)
    record = channels.record("main", tide)
    digest = record.pop("attestations_sha256")
    assert record == before
    got = channels.call(f"/conda/main/{tide.path}.sigs.{digest}", who="writer")
    assert json.loads(got.body) == [first, second]
    assert len(channels.files("main")) == 2


def test_what_is_not_of_the_package_is_refused(channels, tide, attest):
    """As with the package itself; the record stays as it is."""
    channels.send("main", tide)
    for bundle in (attest(tide, "https://else.example/main"), {}, [], "x"):
        answer = channels.call(at("main", tide), "POST", "writer", body=json.dumps(bundle).encode())
        assert answer.status == 422
    answer = channels.call(at("main", tide), "POST", "writer", body=b"x" * (5 << 20))
    assert answer.status == 413
    assert "attestations_sha256" not in channels.record("main", tide)


def test_a_package_without_any_has_none(channels, tide):
    """And one that is not there is not found."""
    channels.send("main", tide)
    found = channels.known("main", tide)
    assert (found["attestations"], found["sha256"]) == ([], tide.sha256)
    for method in ("GET", "POST"):
        missing = channels.call(at("free", tide), method, "writer", body=b"{}")
        assert missing.status == 404


@pytest.mark.parametrize(("who", "status"), [("", 401), ("reader", 403), ("nobody", 404)])
def test_adding_needs_write(channels, tide, attest, who, status):
    """401 for a stranger, 403 for who may only read, 404 for who may not."""
    channels.send("main", tide)
    rule = channels.allow("user:reader", "read")
    answer = channels.call(at("main", tide), "POST", who, body=json.dumps(attest(tide)).encode())
    assert answer.status == status
    channels.admin.accounts.remove_rule(rule.id or 0)
    assert "attestations_sha256" not in channels.record("main", tide)


def test_reading_needs_read(channels, tide, attest):
    """What one may not read is not there."""
    channels.send("main", tide, attest(tide))
    digest = channels.record("main", tide)["attestations_sha256"]
    assert channels.call(at("main", tide), who="nobody").status == 404
    path = f"/conda/main/{tide.path}.sigs.{digest}"
    assert channels.call(path, who="nobody").status == 404


def test_nothing_but_packages_has_attestations(channels, tide, attest):
    """An index, or the instructions of a patch, is nobody's package."""
    patches = b'{"packages.conda":{},"patch_instructions_version":1}'
    where = "noarch/patch_instructions.json"
    put = channels.call(f"/conda/main/{where}", "PUT", "writer", body=patches)
    assert put.status == 201
    target = f"{AT}/main/attestations/"
    body = json.dumps(attest(tide)).encode()
    for path, status in ((where, 422), ("noarch/repodata.json", 400)):
        answer = channels.call(target + path, "POST", "writer", body=body)
        assert answer.status == status, answer.body
    found = channels.call(f"{target}{where}", who="writer")
    assert json.loads(found.body)["attestations"] == []
