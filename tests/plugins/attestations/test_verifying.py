"""Signatures: a bundle of one's own authority verifies, and nothing that was tampered with."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from own_sigstore import ISSUER, SUBJECT, Key, Sigstore, b64, pae, statement

from repocore.errors import ConfigurationError
from repocore.plugins.attestations.settings import IdentitySettings, PolicySettings
from repocore.plugins.attestations.statements import read_statement

pytest.importorskip("sigstore", reason="pip install 'repocore[attestations]'")
from sigstore.errors import VerificationError

from repocore.plugins.attestations import verifying
from repocore.plugins.attestations.verifying import Authority, Signer

NAME, SHA256 = "tide-1.0-0.conda", "ab" * 32
SAID = statement(NAME, SHA256)


def trusting(root, *identities):
    pairs = identities or ((ISSUER, "https://ci.example/harbour/*"),)
    named = tuple(IdentitySettings(issuer=issuer, subject=subject) for issuer, subject in pairs)
    return Authority(PolicySettings(pattern="conda/**", trust_root=root, identity=named))


@pytest.fixture(scope="module")
def trusted(trust_root):
    return trusting(trust_root)


def reason(trusted, bundle):
    """Why a bundle does not count."""
    signer, why = trusted.signer(bundle, read_statement(bundle))
    assert signer is None
    assert why
    assert "/" not in why.replace("https://", "").split(" ")[0]
    return why


def test_a_signer_is_named(trusted, authority):
    """By issuer and subject of the certificate."""
    bundle = authority.bundle(SAID)
    assert trusted.signer(bundle, read_statement(bundle)) == (Signer(ISSUER, SUBJECT), "")


def test_a_certificate_that_has_expired_since_was_good(trusted, authority):
    """What counts is the time of the log's entry."""
    bundle = authority.bundle(SAID, logged=datetime.now(UTC) - timedelta(days=300))
    assert trusted.signer(bundle, read_statement(bundle))[0] is not None


@pytest.mark.parametrize("minutes", [-5, 11])
def test_a_certificate_counts_while_it_is_valid(trusted, authority, minutes):
    """Not before its time, nor after."""
    logged = datetime.now(UTC)
    bundle = authority.bundle(SAID, logged=logged, certified=logged - timedelta(minutes=minutes))
    assert "certificate" in reason(trusted, bundle)


def test_another_authority_is_nobody(trusted):
    """Whatever it says of who that is."""
    assert "certificate" in reason(trusted, Sigstore().bundle(SAID))


def test_parts_of_another_authority_are_found_out(trusted, authority):
    """A log of certificates, and a transparency log, that nobody trusts."""
    other = Sigstore()
    uncertified = Sigstore(authority.authority, other.certificates, authority.log)
    assert "SCT" in reason(trusted, uncertified.bundle(SAID))
    unlogged = Sigstore(authority.authority, authority.certificates, other.log)
    assert "log entry" in reason(trusted, unlogged.bundle(SAID))


def test_somebody_else_is_refused(trusted, authority):
    """Another workflow of the issuer, another issuer."""
    for who in ({"subject": "https://ci.example/other/x.yml"}, {"issuer": "https://other.example"}):
        assert "nobody whom the policy names" in reason(trusted, authority.bundle(SAID, **who))


def test_a_pattern_is_of_whole_subjects(trust_root, authority):
    """A dot is a dot, and what stands before or behind is looked at too."""
    for subject in (SUBJECT.replace(".yml", "?yml"), "*", SUBJECT):
        found = trusting(trust_root, (ISSUER, subject))
        bundle = authority.bundle(SAID)
        assert found.signer(bundle, read_statement(bundle))[0] is not None
    for subject in (SUBJECT[:-1], SUBJECT[1:], SUBJECT.replace("ci.", "ci?x")):
        assert reason(trusting(trust_root, (ISSUER, subject)), authority.bundle(SAID))


def test_other_words_under_the_same_signature_are_found_out(trusted, authority):
    """The signature is over the statement."""
    bundle = authority.bundle(SAID)
    other = json.dumps(statement("other-1.0-0.conda", SHA256)).encode()
    bundle["dsseEnvelope"]["payload"] = b64(other)
    assert reason(trusted, bundle)


def test_other_words_signed_by_another_key_are_found_out(trusted, authority):
    """The key is that of the certificate."""
    bundle = authority.bundle(SAID)
    envelope = bundle["dsseEnvelope"]
    other = json.dumps(statement("other-1.0-0.conda", SHA256)).encode()
    envelope.update(payload=b64(other), signatures=[{"sig": b64(Key().sign(pae(other)))}])
    assert "nvalid" in reason(trusted, bundle)


def test_another_entry_of_the_log_is_no_proof(trusted, authority):
    """Each statement has an entry of its own."""
    bundle, other = authority.bundle(SAID), authority.bundle(statement("other-1.0-0.conda", SHA256))
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    assert reason(trusted, bundle)


ENTRY = ("verificationMaterial", "tlogEntries", 0)
PROOF = (*ENTRY, "inclusionProof")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verificationMaterial", "tlogEntries"), []),
        (("verificationMaterial",), {}),
        (("verificationMaterial", "certificate", "rawBytes"), "AAAA"),
        ((*ENTRY, "inclusionProof"), None),
        ((*ENTRY, "inclusionPromise"), None),
        ((*ENTRY, "inclusionPromise", "signedEntryTimestamp"), b64(b"0" * 64)),
        ((*ENTRY, "integratedTime"), "1"),
        ((*ENTRY, "canonicalizedBody"), b64(b"{}")),
        ((*ENTRY, "logId", "keyId"), b64(b"0" * 32)),
        ((*PROOF, "rootHash"), b64(b"0" * 32)),
        ((*PROOF, "treeSize"), "2"),
        ((*PROOF, "hashes"), [b64(b"0" * 32)]),
        ((*PROOF, "checkpoint"), None),
        ((*PROOF, "checkpoint", "envelope"), "log.example - 1\n1\nAA==\n\n"),
        (("dsseEnvelope", "signatures", 0, "sig"), b64(b"0" * 64)),
        (("mediaType",), "application/vnd.dev.sigstore.bundle.v9+json"),
    ],
    ids=lambda value: value if isinstance(value, str) else ".".join(map(str, value or ())),
)
def test_a_bundle_with_another_part_does_not_count(trusted, authority, path, value):
    """No certificate, no entry of the log, no proof of it, or those of something else."""
    bundle = copy.deepcopy(authority.bundle(SAID))
    *above, last = path
    place = bundle
    for key in above:
        place = place[key]
    place[last] = value
    assert reason(trusted, bundle)


def issued(*extensions):
    """A certificate with some extensions that say who its issuer is."""
    key = Key().private
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 1, 2, tzinfo=UTC))
    )
    for number, value in extensions:
        oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(key, hashes.SHA256())


LONG = b"https://" + b"x" * 150


@pytest.mark.parametrize(
    ("extensions", "issuer"),
    [
        ([(8, b"\x0c\x03new"), (1, b"before")], "new"),
        ([(1, b"before")], "before"),
        ([(8, b"\x0c\x81\x9e" + LONG)], LONG.decode()),
    ],
)
def test_an_issuer_is_read_in_each_of_its_forms(extensions, issuer):
    """The newer extension goes before the older one."""
    assert verifying._issuer(issued(*extensions)) == issuer


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [(8, b"\x0c\x04new")],
        [(8, b"\x16\x03new")],
        [(8, b"\x0c\x82\x00\x03new")],
        [(8, b"\x0c\x82\x04new"), (1, b"before")],
    ],
)
def test_an_issuer_that_is_no_text_is_nobody(extensions):
    """And the older extension does not make up for it."""
    with pytest.raises(VerificationError):
        verifying._issuer(issued(*extensions))


def test_what_was_signed_is_what_was_read(trusted, authority):
    """One reader's statement and another's signature do not go together."""
    bundle = authority.bundle(SAID)
    other = read_statement(authority.bundle(statement("other-1.0-0.conda", SHA256)))
    assert trusted.signer(bundle, other) == (None, "what was signed is not what was read")


def test_a_file_that_is_no_root_is_told_at_start(tmp_path):
    """With the setting's name."""
    path = tmp_path / "root.json"
    for text in ("", "{}", '{"mediaType": "text/plain"}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"trusted_root\.json"):
            trusting(path)
    with pytest.raises(ConfigurationError, match=r"trusted_root\.json"):
        trusting(tmp_path / "none.json")
