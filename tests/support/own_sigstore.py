"""A Sigstore of the tests: a certificate authority, a log of certificates, a transparency log.

Each of them is a key and no server; a bundle of it verifies against its trusted root, as one of the
public instance does against the public root.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PREDICATE = "https://schemas.conda.org/attestations-publish-1.schema.json"
PAYLOAD = "application/vnd.in-toto+json"
ISSUER = "https://ci.example"
SUBJECT = "https://ci.example/harbour/tide/release.yml@refs/heads/main"
LOG = "log.example"
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SHA256_ECDSA = b"\x04\x03"
_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def statement(name: str, sha256: str, target: str | None = None) -> dict[str, Any]:
    """A statement as CEP 27 has it."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sha256}}],
        "predicateType": PREDICATE,
        "predicate": None if target is None else {"targetChannel": target},
    }


def pae(payload: bytes) -> bytes:
    """What is signed of an envelope (DSSE)."""
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


@attrs.frozen
class Key:
    """A key pair on P-256."""

    private: ec.EllipticCurvePrivateKey = attrs.field(
        factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def der(self) -> bytes:
        return self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.der).digest()

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))


@attrs.frozen
class Sigstore:
    """Issues certificates, signs statements with them, and writes that into its log."""

    authority: Key = attrs.field(factory=Key)
    certificates: Key = attrs.field(factory=Key)
    log: Key = attrs.field(factory=Key)

    @property
    def name(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "authority.example")])

    def root(self) -> x509.Certificate:
        """The certificate of the authority, signed by itself."""
        key = self.authority.private
        made = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(_BEGIN)
            .not_valid_after(_BEGIN + timedelta(days=7300))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(usage(ca=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        return made.sign(key, hashes.SHA256())

    def trusted_root(self) -> dict[str, Any]:
        """What its ``trusted_root.json`` holds."""
        span = {"start": "2024-01-01T00:00:00Z"}

        def log(key: Key, url: str) -> dict[str, Any]:
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": b64(key.der),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": span,
                },
                "logId": {"keyId": b64(key.id)},
            }

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log, f"https://{LOG}")],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "authority.example", "commonName": "authority"},
                    "uri": "https://authority.example",
                    "certChain": {
                        "certificates": [{"rawBytes": b64(self.root().public_bytes(Encoding.DER))}]
                    },
                    "validFor": span,
                }
            ],
            "ctlogs": [log(self.certificates, "https://certificates.example")],
            "timestampAuthorities": [],
        }

    def write_root(self, folder: Path) -> Path:
        """Its ``trusted_root.json`` in a folder."""
        path = folder / f"{self.log.id.hex()[:8]}.trusted_root.json"
        path.write_text(json.dumps(self.trusted_root()), encoding="utf-8")
        return path

    def certificate(
        self, key: Key, *, at: datetime, issuer: str = ISSUER, subject: str = SUBJECT
    ) -> x509.Certificate:
        """A certificate of ten minutes for who that is, with the receipt of the log."""
        plain = self._certificate(key, at, issuer, subject, None)
        return self._certificate(key, at, issuer, subject, self._receipt(plain, at))

    def _certificate(
        self, key: Key, at: datetime, issuer: str, subject: str, receipt: bytes | None
    ) -> x509.Certificate:
        public = self.authority.private.public_key()
        written = issuer.encode()
        assert len(written) < 128
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.name)
            .public_key(key.private.public_key())
            .serial_number(2)
            .not_valid_before(at)
            .not_valid_after(at + timedelta(minutes=10))
            .add_extension(usage(ca=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(subject)]),
                critical=True,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.private.public_key()), critical=False
            )
            .add_extension(
                x509.UnrecognizedExtension(_ISSUER_V2, bytes([0x0C, len(written)]) + written),
                critical=False,
            )
        )
        if receipt is not None:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(_SCT_LIST, receipt), critical=False
            )
        return builder.sign(self.authority.private, hashes.SHA256())

    def _receipt(self, certificate: x509.Certificate, at: datetime) -> bytes:
        """The list of one signed timestamp (RFC 6962 section 3.3) of a certificate without it."""
        stamp = struct.pack("!Q", int(at.timestamp() * 1000))
        body = certificate.tbs_certificate_bytes
        entry = self.authority.id + len(body).to_bytes(3, "big") + body
        signature = self.certificates.sign(b"\0\0" + stamp + b"\0\1" + entry + b"\0\0")
        one = b"\0" + self.certificates.id + stamp + b"\0\0" + _SHA256_ECDSA
        one += struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!H", len(one)) + one
        listed = struct.pack("!H", len(listed)) + listed
        assert len(listed) < 128 or len(listed) < 256
        length = bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])
        return b"\x04" + length + listed

    def bundle(
        self,
        said: dict[str, Any] | bytes,
        *,
        issuer: str = ISSUER,
        subject: str = SUBJECT,
        logged: datetime | None = None,
        certified: datetime | None = None,
    ) -> dict[str, Any]:
        """Sign a statement; it is logged now, with a certificate of a minute ago."""
        logged = logged or datetime.now(UTC)
        certified = (certified or logged - timedelta(minutes=1)).replace(microsecond=0)
        key = Key()
        certificate = self.certificate(key, at=certified, issuer=issuer, subject=subject)
        payload = said if isinstance(said, bytes) else json.dumps(said).encode()
        envelope = {
            "payload": b64(payload),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": b64(key.sign(pae(payload)))}],
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self._entry(envelope, payload, certificate, logged)],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": envelope,
        }

    def _entry(
        self,
        envelope: dict[str, Any],
        payload: bytes,
        certificate: x509.Certificate,
        logged: datetime,
    ) -> dict[str, Any]:
        """The entry of the log, which has no other."""
        signature = envelope["signatures"][0]["sig"]
        written = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": hashed(compact(envelope)),
                "payloadHash": hashed(payload),
                "signatures": [
                    {
                        "signature": signature,
                        "verifier": b64(certificate.public_bytes(Encoding.PEM)),
                    }
                ],
            },
        }
        body = compact(written)
        leaf = hashlib.sha256(b"\0" + body).digest()
        note = f"{LOG} - 1\n1\n{b64(leaf)}\n"
        signed = b64(self.log.id[:4] + self.log.sign(note.encode()))
        time = int(logged.timestamp())
        promised = {
            "body": b64(body),
            "integratedTime": time,
            "logID": self.log.id.hex(),
            "logIndex": 0,
        }
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(self.log.id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(time),
            "inclusionPromise": {"signedEntryTimestamp": b64(self.log.sign(compact(promised)))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(leaf),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 {LOG} {signed}\n"},
            },
            "canonicalizedBody": b64(body),
        }


def usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def hashed(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


@cache
def sigstore() -> Sigstore:
    """The one that tests trust."""
    return Sigstore()
