"""``/api/tos``: terms of service, which stand in the settings, and who has signed them.

Who signs joins a group that is named after the text, so that a signature is recorded, listed and
deleted as a membership is, and a new text is signed anew.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from repocore.errors import RejectedError
from repocore.http import Request, Response
from repocore.model import Action, AuditQuery, Resource
from repocore.plugins.quetz.answers import UnsignedError, no_such, signed_in
from repocore.plugins.quetz.settings import QuetzSettings
from repocore.plugins.quetz.users import describe, identifier
from repocore.registry import Session

__all__ = ["get", "require_signature", "sign", "status", "upload"]


def _settings(session: Session) -> QuetzSettings:
    return session.registry.plugin_settings("quetz")


def _group(session: Session) -> str:
    """The group of those who have signed; raises `MissingError` where there are no terms."""
    texts = _settings(session).terms
    if not texts:
        raise no_such("terms of service")
    text = json.dumps(dict(texts), sort_keys=True)
    return f"terms-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _signed_at(session: Session, name: str) -> datetime | None:
    """When somebody has signed; None for who has not."""
    group = _group(session)
    house = session.registry.session(session.registry.admin(), source=session.source)
    if name not in house.accounts.groups().get(group, ()):
        return None
    wanted = f"joined {group}"
    for record in house.audit.export(AuditQuery(what=name)):
        if record.details.get("change") == wanted:
            return record.at
    return house.accounts.get(name).created_at


def require_signature(session: Session) -> None:
    """Return if the asker has signed, or need not; raises `UnsignedError`.

    Administrators of the site need not, nor does anybody where the settings do not say so.
    """
    settings = _settings(session)
    if not settings.terms_required or not settings.terms:
        return
    name = signed_in(session)
    if session.allowed(Action.ADMIN, Resource()):
        return
    if _signed_at(session, name) is None:
        message = "Sign the terms of service first: POST /api/tos/sign."
        raise UnsignedError(message)


def get(session: Session, _request: Request) -> Response:
    """Show the terms of service in every language."""
    identity = identifier(_group(session))
    files = [
        {"content": text, "filename": f"terms-{language}.txt", "language": language}
        for language, text in sorted(_settings(session).terms.items())
    ]
    uploader = identifier("settings")
    return Response.json(
        {"id": identity, "uploader_id": uploader, "files": files, "time_created": None}
    )


def status(session: Session, _request: Request) -> Response:
    """Show the asker's signature, or null."""
    name = signed_in(session)
    moment = _signed_at(session, name)
    if moment is None:
        return Response.json(None, 201)
    return Response.json(_signature(session, name, moment), 201)


def _signature(session: Session, name: str, moment: datetime) -> dict[str, Any]:
    return {
        "tos_id": identifier(_group(session)),
        "user_id": describe(session, name)["id"],
        "time_created": moment.isoformat(),
    }


def sign(session: Session, request: Request) -> Response:
    """Sign the terms of service; `?tos_id=` says which, and only the present ones can be."""
    name = signed_in(session)
    group = _group(session)
    wanted = request.query.get("tos_id", "")
    if wanted and wanted != identifier(group):
        raise no_such(f"terms of service with id {wanted}")
    moment = _signed_at(session, name)
    if moment is not None:
        return Response.json(f"TOS already signed for {name} at {moment.isoformat()}.", 201)
    house = session.registry.session(session.registry.admin(), source=session.source)
    house.accounts.add_to_group(group, name)
    return Response.json(f"TOS signed for {name}", 201)


def upload(session: Session, _request: Request) -> Response:
    """Refuse terms of service: they stand in the settings."""
    signed_in(session)
    session.require(Action.ADMIN, Resource())
    message = "The terms of service stand in the settings, in [plugins.quetz.terms]."
    raise RejectedError(message)
