"""Attestations from the upload to py-rattler's verification, with a trust root of our own."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import rattler_client
from conda_channels import Quay
from own_sigstore import ISSUER, SUBJECT, Sigstore, sigstore, statement
from rattler_builder import tide
from rattler_client import Rattler, run

pytestmark = [pytest.mark.clients, pytest.mark.slow]
rattler = rattler_client.rattler
trust = pytest.importorskip("rattler.sigstore.sigstore", reason="pip install py-rattler>=0.28")


def form(package: Path, bundle: dict[str, Any]) -> tuple[bytes, str]:
    """The form that the builder sends where its CI has signed: the package, then what it says."""
    edge = "----of-the-form"
    fields = f'name="file"; filename="{package.name}"'
    head = f"--{edge}\r\nContent-Disposition: form-data; {fields}\r\n"
    head += "Content-Type: application/octet-stream\r\n\r\n"
    tail = f'\r\n--{edge}\r\nContent-Disposition: form-data; name="attestation"\r\n\r\n'
    tail += f"{json.dumps(bundle)}\r\n--{edge}--\r\n"
    return head.encode() + package.read_bytes() + tail.encode(), edge


def send(quay: Quay, target: str | None) -> int:
    """Build a package, attest that it goes to a channel, and upload both; the status."""
    package = quay.builder.build(tide("1.0"))
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    body, edge = form(package, sigstore().bundle(statement(package.name, digest, target)))
    fields = {
        "Authorization": f"Bearer {quay.token}",
        "Content-Type": f"multipart/form-data; boundary={edge}",
    }
    where = f"{quay.server.address}/api/v1/upload/{quay.name}"
    request = urllib.request.Request(where, body, fields, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def verify(client: Rattler, record, root: Path, **publisher):
    """What py-rattler makes of a record's attestations; raises what it raises."""
    issuer = trust.Issuer(publisher.pop("issuer", ISSUER))
    known = trust.Publisher(publisher.pop("identity", SUBJECT), issuer)
    policy = trust.VerificationPolicy.require(known)
    return run(
        trust.verify_attestation(record, policy, client.client(), trust.TrustedRoot.from_path(root))
    )


@pytest.mark.parametrize("sharded", [True, False])
def test_a_client_finds_and_verifies_what_was_sent(quay, tmp_path, sharded):
    """Signer, log, and the channel that it was published to: this one."""
    assert send(quay, quay.url) == 201
    client = Rattler(tmp_path / "client", quay.url)
    [record] = client.search("tide", sharded=sharded)
    assert record.attestations_sha256 is not None
    outcome = verify(client, record, sigstore().write_root(tmp_path))
    assert outcome.is_verified
    assert outcome.warnings == []
    found = outcome.attestation
    assert (found.identity, found.issuer) == (SUBJECT, ISSUER)
    assert found.target_channel == quay.url
    assert found.checks.certificate_chain
    assert found.checks.transparency_log


def test_a_client_refuses_who_is_somebody_else(quay, tmp_path):
    """Another root, another signer."""
    assert send(quay, quay.url) == 201
    client = Rattler(tmp_path / "client", quay.url)
    [record] = client.search("tide")
    with pytest.raises(Exception, match=r"(?i)verif"):
        verify(client, record, Sigstore().write_root(tmp_path))
    with pytest.raises(Exception, match=r"(?i)verif|identity"):
        verify(client, record, sigstore().write_root(tmp_path), identity="https://else.example")


def test_what_is_for_another_channel_is_not_published(quay):
    """Not without its attestation either."""
    assert send(quay, f"{quay.url}-else") == 422
    assert list(quay.session.files.list(quay.address)) == []


def test_a_package_without_any_is_as_ever(quay, tmp_path):
    """Its record names none, and a client that wants one refuses it."""
    quay.publish(tide("1.0"))
    client = Rattler(tmp_path / "client", quay.url)
    [record] = client.search("tide")
    assert record.attestations_sha256 is None
    with pytest.raises(Exception, match=r"(?i)attestation"):
        verify(client, record, sigstore().write_root(tmp_path))
