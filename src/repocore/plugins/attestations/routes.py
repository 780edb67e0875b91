"""``/api/v1/attestations``: look at what was attested of a package, and add to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Final
from urllib.parse import quote

import attrs

from repocore.errors import InvalidRequestError, TooLargeError
from repocore.http import Request, Response, Route
from repocore.model import Action, FilePath, Resource, split_address
from repocore.plugins.attestations.policies import Finding, Policies
from repocore.plugins.attestations.statements import PREDICATE_TYPE
from repocore.registry import Session

__all__ = ["AttestationView", "AttestationsQuery", "AttestationsView", "routes"]

_MOST: Final = 4 << 20
_CHUNK: Final = 1 << 16


@attrs.frozen(kw_only=True)
class AttestationsQuery:
    """Of which package."""

    repository: Annotated[str, "The channel, as conda/main."]
    path: Annotated[str, "The package in it, as noarch/tide-1.0-0.conda."]


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
        repository, path = _asked(request)
        return _answer(session, policies(session), repository, path)

    def add(session: Session, request: Request) -> Response:
        """Add an attestation, a Sigstore bundle, or an array of them, to a package."""
        repository, path = _asked(request)
        name = split_address(repository)[1]
        resource = Resource(*split_address(repository))
        if session.principal.anonymous:  # before the body; whose a package is, is known later
            session.require(Action.WRITE, resource)
        urls = [f"{request.base_url}/{place}/{quote(name)}" for place in ("conda", "get")]
        session.attestations.add(repository, path, _body(request), urls)
        return _answer(session, policies(session), repository, path, 201)

    for method, handler, permission, status in (
        ("GET", show, Action.READ, 200),
        ("POST", add, Action.WRITE, 201),
    ):
        yield Route(
            method=method,
            template="/api/v1/attestations",
            handler=handler,
            summary=(handler.__doc__ or "").strip(),
            permission=permission,
            query=AttestationsQuery,
            answers={status: AttestationsView},
        )


def _asked(request: Request) -> tuple[str, FilePath]:
    missing = [name for name in ("repository", "path") if not request.query.get(name)]
    if missing:
        problems = tuple(f"`{name}` is missing from the query." for name in missing)
        raise InvalidRequestError(problems=problems)
    return request.query["repository"], FilePath.parse(request.query["path"])


def _body(request: Request) -> bytes:
    text = bytearray()
    while len(text) <= _MOST and (chunk := request.body.read(_CHUNK)):
        text += chunk
    if len(text) > _MOST:
        message = f"The attestations of a package have up to {_MOST} bytes."
        raise TooLargeError(message)
    return bytes(text)


def _answer(
    session: Session, policies: Policies, repository: str, path: FilePath, status: int = 200
) -> Response:
    file = session.files.stat(repository, path)
    bundles = session.attestations.get(repository, path)
    release = session.releases.get(repository, str(file.partition), str(file.release))
    resource = Resource(*split_address(repository), release.package, release.version)
    view = AttestationsView(
        repository=repository,
        path=str(path),
        sha256=file.digest,
        attestations=tuple(map(AttestationView.of, policies.findings(resource, bundles))),
    )
    return Response(
        status,
        json.dumps(attrs.asdict(view), ensure_ascii=False).encode(),
        (("Content-Type", "application/json"),),
    )
