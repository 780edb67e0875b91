"""Attestations from the upload to py-rattler's verification, with a trust root of our own."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import rattler_client
from conda_channels import Quay
from own_sigstore import ISSUER, SUBJECT, Sigstore, sigstore, statement
from rattler_builder import tide
from rattler_client import Rattler, run
from recorder import PassingHandler, serving

pytestmark = [pytest.mark.clients, pytest.mark.slow]
rattler = rattler_client.rattler
trust = pytest.importorskip("rattler.sigstore.sigstore", reason="pip install py-rattler>=0.28")


class Ci(PassingHandler):
    """Where a job asks who it is and is given a token for that; all else goes to the server."""

    token: ClassVar[str]

    def answer(self, body: bytes) -> None:
        said = {"/token": b'{"value": "of.the.job"}', "/api/oidc/mint_token": self.token.encode()}
        text = said.get(self.path.partition("?")[0])
        if text is None:
            super().answer(body)
            return
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def job(quay: Quay, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The server as a job of its CI sees it; its address."""
    words = {"host": urlsplit(quay.url).netloc, "exchanges": [], "token": quay.token}
    with serving(type("Job", (Ci,), words)) as address:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{address}/token?version=1")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job")
        yield address


def attested(quay: Quay, package: Path, target: str) -> str:
    """A file with the attestation of a package, as its CI has signed it."""
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    path = quay.folder / "attestation.sigstore.json"
    path.write_text(json.dumps(sigstore().bundle(statement(package.name, digest, target))))
    return str(path)


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


def test_the_builder_sends_what_a_client_verifies(quay, job, tmp_path):
    """From a job that has no key, with the command that people type there."""
    package = quay.builder.build(tide("1.0"))
    channel = f"{job}/{quay.address}"
    file = attested(quay, package, channel)
    quay.builder.upload("prefix", job, quay.name, package, attestation_file=file)
    client = Rattler(tmp_path / "client", channel)
    [record] = client.search("tide")
    outcome = verify(client, record, sigstore().write_root(tmp_path))
    assert outcome.is_verified
    assert outcome.attestation.target_channel == channel


def test_the_builder_fails_where_its_attestation_is_refused(quay, job):
    """The package is not published without it."""
    package = quay.builder.build(tide("1.0"))
    file = attested(quay, package, "https://else.example/channel")
    said = quay.builder.refused("prefix", job, quay.name, package, attestation_file=file)
    assert "422" in said or "targetChannel" in said
    assert list(quay.session.files.list(quay.address)) == []


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
