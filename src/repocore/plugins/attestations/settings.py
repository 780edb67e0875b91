"""``[plugins.attestations]``: what attestations are taken, and which are verified."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import attrs

from repocore.config import says
from repocore.model import Pattern

__all__ = ["AttestationSettings", "IdentitySettings", "PolicySettings"]


def _some(value: str) -> None:
    if not value.strip():
        raise ValueError("expected some text")


def _positive(value: int) -> None:
    if value <= 0:
        raise ValueError("must be more than nothing")


def _someone(value: tuple[IdentitySettings, ...]) -> None:
    if not value:
        raise ValueError("name whose attestations count; everybody with a certificate could sign")


def _no_policies() -> tuple[PolicySettings, ...]:
    return ()


@attrs.frozen(kw_only=True)
class IdentitySettings:
    """An ``[[…policy.identity]]``: who signs, as the certificate has it."""

    issuer: str = attrs.field(
        metadata=says("Who said to the certificate authority who they are: a URL.", check=_some)
    )
    subject: str = attrs.field(
        metadata=says(
            "Who they are: an address or a URL, in which * is any text and ? any one letter.",
            check=_some,
        )
    )


@attrs.frozen(kw_only=True)
class PolicySettings:
    """A ``[[plugins.attestations.policy]]``: of several, the first that fits a package decides."""

    pattern: str = attrs.field(
        metadata=says(
            "Which packages it is about: conda/channel/package/version, as in a rule.",
            check=Pattern.compile,
        )
    )
    trust_root: Path = attrs.field(
        metadata=says("The trusted_root.json of the Sigstore that is trusted; it is never fetched.")
    )
    identity: tuple[IdentitySettings, ...] = attrs.field(
        metadata=says("Whose attestations count.", check=_someone)
    )
    require: bool = attrs.field(
        default=False,
        metadata=says("Whether a package without an attestation is refused."),
    )

    def __attrs_post_init__(self) -> None:
        if find_spec("sigstore") is None:
            raise ValueError("needs the package sigstore; pip install 'repocore[attestations]'")


@attrs.frozen(kw_only=True)
class AttestationSettings:
    """``[plugins.attestations]``."""

    max_size: int = attrs.field(
        default=64 << 10,
        metadata=says("The largest attestation.", check=_positive, size=True),
    )
    max_count: int = attrs.field(
        default=10, metadata=says("The most attestations of one package.", check=_positive)
    )
    policy: tuple[PolicySettings, ...] = attrs.field(
        factory=_no_policies, metadata=says("Which are verified, and how.")
    )
