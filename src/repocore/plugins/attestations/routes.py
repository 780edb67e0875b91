"""``…/attestations``: look at what was attested of a package, and add to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Final
from urllib.parse import quote

import attrs

from repocore.errors import TooLargeError
from repocore.http import Request, Response, Route
from repocore.model import Action, Resource, split_address
from repocore.plugins.attestations.policies import Finding, Policies
from repocore.plugins.attestations.statements import PREDICATE_TYPE
from repocore.registry import Session

__all__ = ["AttestationView", "AttestationsView", "routes"]

_MOST: Final = 4 << 20
_CHUNK: Final = 1 << 16
#: Where channels are: an attestation may name either as its target.
_PLACES: Final = ("conda", "get")


@attrs.frozen(kw_only=True)
class AttestationView:
    """One attestation of a package."""

    predicate_type: Annotated[str, "What kind of statement it is."]
    target_channel: Annotated[str | None, "The channel that it says it is for; null for any."]
    verified: Annotated[bool, "Whether a policy of this server vouches for it."]
    reason: Annotated[str, "Why not; empty where it does."]
    issuer: Annotated[str | None, "Who vouched for the signer; null where it is not verified."]
    subject: Annotated[str | None, "The signer; null where it is not verified."]

    @classmethod
    def of(cls, finding: Finding) -> AttestationView:
        """What is found, without the bytes that were signed."""
        return cls(
            predicate_type=PREDICATE_TYPE,
            target_channel=finding.statement.target,
            verified=finding.verified,
            reason=finding.reason,
            issuer=finding.issuer,
            subject=finding.subject,
        )


@attrs.frozen(kw_only=True)
class AttestationsView:
    """The attestations of a package."""

    repository: Annotated[str, "The channel."]
    path: Annotated[str, "The package in it."]
    sha256: Annotated[str, "The SHA-256 of its bytes, in hex."]
    attestations: Annotated[tuple[AttestationView, ...], "In the order in which they came."]


def routes(policies: Callable[[Session], Policies]) -> Iterable[Route[Session]]:
    """Two routes of the site."""

    def show(session: Session, request: Request) -> Response:
        """Tell what was attested of a package, and whether a policy vouches for it."""
        return _answer(session, request, policies(session), 200)

    def add(session: Session, request: Request) -> Response:
        """Add an attestation, a Sigstore bundle, or an array of them, to a package."""
        channel = quote(request.fields["name"])
        urls = [f"{request.base_url}/{place}/{channel}" for place in _PLACES]
        path = request.fields["path"]
        session.attestations.add(_address(request), path, lambda: [_body(request)], urls)
        return _answer(session, request, policies(session), 201)

    for method, handler, permission, status in (
        ("GET", show, Action.READ, 200),
        ("POST", add, Action.WRITE, 201),
    ):
        yield Route(
            method=method,
            template="/api/v1/repositories/{format}/{name}/attestations/{path:path}",
            handler=handler,
            summary=(handler.__doc__ or "").strip(),
            permission=permission,
            answers={status: AttestationsView},
        )


def _address(request: Request) -> str:
    return f"{request.fields['format']}/{request.fields['name']}"


def _body(request: Request) -> bytes:
    text = bytearray()
    while len(text) <= _MOST and (chunk := request.body.read(_CHUNK)):
        text += chunk
    if len(text) > _MOST:
        message = f"The attestations of a package have up to {_MOST} bytes."
        raise TooLargeError(message)
    return bytes(text)


def _answer(session: Session, request: Request, policies: Policies, status: int) -> Response:
    address, path = _address(request), request.fields["path"]
    file = session.files.stat(address, path)
    bundles = session.attestations.get(address, path)
    findings: list[Finding] = []
    if bundles:
        release = session.releases.get(address, str(file.partition), str(file.release))
        resource = Resource(*split_address(address), release.package, release.version)
        findings = policies.findings(resource, bundles)
    view = AttestationsView(
        repository=address,
        path=path,
        sha256=file.digest,
        attestations=tuple(map(AttestationView.of, findings)),
    )
    text = json.dumps(attrs.asdict(view), ensure_ascii=False)
    return Response(status, text.encode(), (("Content-Type", "application/json"),))
