"""What is asked of the attestations of a package: their form always, their signers by policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from repocore.errors import ConfigurationError, TooLargeError, UploadRejectedError
from repocore.model import Attested, Pattern, Resource
from repocore.plugins.attestations.settings import AttestationSettings, PolicySettings
from repocore.plugins.attestations.statements import Statement, check_statement, read_statement

if TYPE_CHECKING:
    from repocore.plugins.attestations.verifying import Authority

__all__ = ["Finding", "Policies"]


@attrs.frozen(kw_only=True)
class Finding:
    """What is known of an attestation that was taken: whether a policy vouches for it, and why not.

    ``issuer`` and ``subject`` are those of its certificate where that was verified.
    """

    statement: Statement
    verified: bool
    reason: str = ""
    issuer: str | None = None
    subject: str | None = None


@attrs.frozen
class _Policy:
    """A policy with its pattern and its trust root, ready."""

    pattern: Pattern
    require: bool
    authority: Authority

    @classmethod
    def of(cls, settings: PolicySettings) -> _Policy:
        try:
            from repocore.plugins.attestations.verifying import (  # noqa: PLC0415 - it imports an optional package
                Authority,
            )
        except ImportError as error:
            message = "plugins.attestations.policy: pip install 'repocore[attestations]'"
            raise ConfigurationError(problems=(message,)) from error
        return cls(Pattern.compile(settings.pattern), settings.require, Authority(settings))


class Policies:
    """Every policy of the settings; of several, the first that fits a package decides."""

    def __init__(self, settings: AttestationSettings) -> None:
        """Read the trust roots; raises `ConfigurationError`."""
        self._settings = settings
        self._policies = [_Policy.of(one) for one in settings.policy]

    def admit(self, resource: Resource, name: str, sha256: str, attested: Attested | None) -> None:
        """Return if a file of that name and digest may come, with what was attested of it.

        Raises `UploadRejectedError` with the reason, and `TooLargeError`.
        """
        policy = self._of(resource)
        if attested is None:
            if policy is not None and policy.require:
                message = (
                    f"{name} needs an attestation: send one with it, in the part `attestation` of "
                    "the form."
                )
                raise UploadRejectedError(message)
            return
        bundles = self._bounded(attested)
        for bundle in bundles:
            statement = read_statement(bundle)
            check_statement(statement, name, sha256, attested.urls)
            found = _finding(policy, bundle, statement)
            if policy is not None and not found.verified:
                message = f"The attestation of {name} does not count here: {found.reason}."
                raise UploadRejectedError(message)

    def findings(self, resource: Resource, bundles: Sequence[Any]) -> list[Finding]:
        """What is known of the attestations of a file that is here, as of the policies of now."""
        policy = self._of(resource)
        return [_finding(policy, bundle, read_statement(bundle)) for bundle in bundles]

    def _of(self, resource: Resource) -> _Policy | None:
        found = (policy for policy in self._policies if policy.pattern.matches(resource))
        return next(found, None)

    def _bounded(self, attested: Attested) -> list[Any]:
        bundles: list[Any] = json.loads(attested.bundles)
        most = self._settings.max_count
        if len(bundles) + attested.others > most:
            message = f"A package has up to {most} attestations; these would be more."
            raise UploadRejectedError(message)
        for bundle in bundles:
            if len(json.dumps(bundle, ensure_ascii=False).encode()) > self._settings.max_size:
                message = f"An attestation has up to {self._settings.max_size} bytes."
                raise TooLargeError(message)
        return bundles


def _finding(policy: _Policy | None, bundle: Any, statement: Statement) -> Finding:
    if policy is None:
        return Finding(statement=statement, verified=False, reason="no policy covers the package")
    signer, reason = policy.authority.signer(bundle, statement)
    if signer is None:
        return Finding(statement=statement, verified=False, reason=reason)
    return Finding(statement=statement, verified=True, issuer=signer.issuer, subject=signer.subject)
