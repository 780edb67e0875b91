"""Signed URLs: how the 1.x client sends and fetches files.

It asks for URLs, and uses them without its credentials.  A URL says whose it is, in a token for
that one purpose: what they may do is asked again when it is used, so that whoever was locked out
meanwhile is.  The files of one upload lie apart until all that were announced have come; then one
transaction binds them under revision 0, where readers see the old files or the new ones.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import quote

import attrs
import jwt

from repocore.errors import FileMissingError, TruncatedError
from repocore.http import Request
from repocore.model import FilePath, Principal
from repocore.plugins.conan.paths import ConanFile, UploadFile
from repocore.plugins.conan.settings import ConanSettings
from repocore.registry import Registry, Session

__all__ = ["Download", "Upload", "check_size", "opened", "place", "signed", "upload_number"]

AUDIENCE: Final = "conan-transfer"
_ALGORITHM: Final = "HS256"
_REQUIRED: Final = ["exp", "path", "repository"]


@attrs.frozen(kw_only=True)
class Download:
    """One file that may be fetched."""

    path: str


@attrs.frozen(kw_only=True)
class Upload:
    """One file that may be sent, of an upload of several."""

    #: Where it lies until the others are there.
    path: str
    size: int
    #: From where to where all of the upload go.
    moves: tuple[tuple[str, str], ...]

    def binds(self) -> Mapping[FilePath, FilePath]:
        """What `Files.rebind` is to do once all are there."""
        return {FilePath.parse(a): FilePath.parse(b) for a, b in self.moves}


def upload_number() -> str:
    """A name that nobody else's upload has."""
    return secrets.token_hex(8)


def place(number: str, target: ConanFile) -> FilePath:
    """Where a file lies until the others of its upload are there."""
    return UploadFile(number, target).path


def signed(session: Session, request: Request, what: Sequence[Download | Upload]) -> list[str]:
    """A URL for each file, for whoever asks now, and for as long as the settings say."""
    registry: Registry = session.registry
    settings: ConanSettings = registry.plugin_settings("conan")
    claims: dict[str, Any] = {
        "exp": int(time.time() + settings.url_lifetime.total_seconds()),
        "repository": request.repository,
    }
    if not session.principal.anonymous:
        claims["who"] = registry.issue(
            session.principal, audience=AUDIENCE, lifetime=settings.url_lifetime
        )
    key = _keys(registry)[0]
    return [f"{request.base_url}/v1/files/{_sign(claims, one, key)}" for one in what]


def _sign(claims: Mapping[str, Any], what: Download | Upload, key: bytes) -> str:
    token = jwt.encode({**claims, **attrs.asdict(what)}, key, algorithm=_ALGORITHM)
    return f"{quote(what.path, safe='/~@+')}?signature={token}"


def opened(session: Session, request: Request) -> tuple[Session, Download | Upload]:
    """The session of whoever a URL was signed for, and what it allows.

    Raises `FileMissingError` for a signature that is missing, wrong, expired, or of another file.
    """
    registry: Registry = session.registry
    claims = _claims(registry, request.query.get("signature", ""))
    if claims["path"] != request.fields["file"] or claims["repository"] != request.repository:
        raise FileMissingError
    who = claims.get("who")
    principal = Principal(name=None)
    if who is not None:
        principal = registry.redeem(str(who), audience=AUDIENCE)
    session = registry.session(principal)
    path = str(claims["path"])
    if "moves" not in claims:
        return session, Download(path=path)
    moves = tuple((str(a), str(b)) for a, b in cast("list[list[str]]", claims["moves"]))
    return session, Upload(path=path, size=int(claims["size"]), moves=moves)


def _claims(registry: Registry, token: str) -> dict[str, Any]:
    for key in _keys(registry):
        try:
            return jwt.decode(token, key, algorithms=[_ALGORITHM], options={"require": _REQUIRED})
        except jwt.InvalidSignatureError:
            continue
        # Whatever a hostile token makes of the parser, it opens nothing.
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            break
    raise FileMissingError


def _keys(registry: Registry) -> list[bytes]:
    """The keys that are good, the one that signs first."""
    settings: ConanSettings = registry.plugin_settings("conan")
    if settings.updown_secret:
        # Its digest, because a key of HS256 has 32 bytes (RFC 7518 section 3.2) and it may not.
        return [hashlib.sha256(settings.updown_secret.encode()).digest()]
    accounts = registry.session(registry.admin()).accounts
    return [key.secret for key in accounts.signing_keys(AUDIENCE)]


def check_size(upload: Upload, length: int | None) -> None:
    """Raise `TruncatedError` where another size was announced than is sent."""
    if length is not None and length != upload.size:
        message = f"Bad file size: it was announced with {upload.size} bytes."
        raise TruncatedError(message)
