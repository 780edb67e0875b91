"""Who signed an attestation: asked of the package sigstore, against a trust root of one's own.

Nothing is fetched: the root is a file, and a bundle has all that is needed with it, the certificate
with its chain, the entry of the transparency log and the proof that it is in there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    ObjectIdentifier,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from sigstore.errors import Error, VerificationError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier

from repocore.errors import ConfigurationError
from repocore.plugins.attestations.settings import IdentitySettings, PolicySettings
from repocore.plugins.attestations.statements import Statement

__all__ = ["Authority", "Signer"]

# Extensions of Fulcio's certificates: the issuer as UTF8String, and as it was written before.
_ISSUER: Final = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_ISSUER_BEFORE: Final = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_UTF8_STRING: Final = 0x0C
#: From here on, a length of DER has bytes of its own.
_LONG: Final = 0x80


@attrs.frozen
class Signer:
    """Whom a certificate is for: who they are, and who said so."""

    issuer: str
    subject: str


@attrs.define
class _Whoever:
    """What the verifier asks of the certificate: that it is of one of these; remembers whose."""

    _identities: Sequence[tuple[str, re.Pattern[str]]]
    signer: Signer | None = None

    def verify(self, cert: Certificate) -> None:
        """Return for a certificate of one of them; raises `VerificationError`."""
        issuer = _issuer(cert)
        for subject in _subjects(cert):
            for wanted, pattern in self._identities:
                if issuer == wanted and pattern.fullmatch(subject):
                    self.signer = Signer(issuer, subject)
                    return
        raise VerificationError("the certificate is of nobody whom the policy names")


class Authority:
    """A trust root, and whose attestations count among those that it vouches for."""

    def __init__(self, policy: PolicySettings) -> None:
        """Read the root; raises `ConfigurationError`."""
        self._verifier = _verifier(policy.trust_root)
        self._identities = [(one.issuer, _pattern(one)) for one in policy.identity]

    def signer(self, bundle: Any, statement: Statement) -> tuple[Signer | None, str]:
        """Who signed the statement of a bundle; or None, and half a sentence that says why not."""
        asked = _Whoever(self._identities)
        try:
            parsed = Bundle.from_json(json.dumps(bundle))
            _, payload = self._verifier.verify_dsse(parsed, asked)
        except Error as error:
            return None, _reason(error)
        except Exception:  # noqa: BLE001 - a bundle is whatever somebody sent, and fails as it likes
            return None, "it is malformed"
        if payload != statement.payload:
            return None, "what was signed is not what was read"
        return asked.signer, ""


def _verifier(path: Path) -> Verifier:
    try:
        return Verifier(trusted_root=TrustedRoot.from_file(str(path)))
    except Exception as error:
        message = f"plugins.attestations.policy.trust_root: {path} is no trusted_root.json"
        raise ConfigurationError(problems=(message,)) from error


def _reason(error: Error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else "it is not genuine"


def _pattern(identity: IdentitySettings) -> re.Pattern[str]:
    written = {"*": ".*", "?": "."}
    return re.compile("".join(written.get(one) or re.escape(one) for one in identity.subject))


def _subjects(certificate: Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    return [
        *names.get_values_for_type(UniformResourceIdentifier),
        *names.get_values_for_type(RFC822Name),
    ]


def _issuer(certificate: Certificate) -> str:
    found = _extension(certificate, _ISSUER)
    if found is not None:
        return _utf8_string(found)
    found = _extension(certificate, _ISSUER_BEFORE)
    if found is None:
        raise VerificationError("the certificate does not say who its issuer is")
    return found.decode()


def _extension(certificate: Certificate, oid: ObjectIdentifier) -> bytes | None:
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except ExtensionNotFound:
        return None
    return value.value if isinstance(value, UnrecognizedExtension) else None


def _utf8_string(encoded: bytes) -> str:
    """A text in DER, of up to 255 bytes."""
    at = 2 if encoded[1] < _LONG else 3
    text = encoded[at:]
    short = encoded[1] <= _LONG + 1  # 0x81: one more byte has the length
    if not short or encoded[0] != _UTF8_STRING or encoded[at - 1] != len(text):
        raise VerificationError("the certificate's issuer is not a text")
    return text.decode()
