"""``/members`` of channels and packages: who holds a role there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from repocore.errors import AlreadyExistsError, MissingError, RejectedError
from repocore.http import Request, Response
from repocore.model import Action, Binding
from repocore.plugins.quetz.answers import Fields, Listing, no_such, permitted, signed_in
from repocore.plugins.quetz.server_roles import (
    Held,
    bind,
    channel_role,
    package_role,
    role_word,
    unbind,
)
from repocore.plugins.quetz.users import accounts_of, describe, people
from repocore.registry import Session

__all__ = ["CHANNEL", "PACKAGE", "add", "add_to_package", "remove"]


def _of_channel(session: Session, request: Request) -> Sequence[Held]:
    _manage(session, request)
    channel = request.fields["channel"]
    return [one for one in people(session, where="channel") if one.channel == channel]


def _of_package(session: Session, request: Request) -> Sequence[Held]:
    _manage(session, request, request.fields["package"])
    place = (request.fields["channel"], request.fields["package"])
    return [one for one in people(session, where="package") if (one.channel, one.package) == place]


def _described(session: Session, one: Held) -> dict[str, Any]:
    return {"role": one.role, "user": describe(session, one.account)}


CHANNEL: Final = Listing(_of_channel, _described, "List who holds a role in a channel.")
PACKAGE: Final = Listing(_of_package, _described, "List who holds a role on a package.")


def _manage(session: Session, request: Request, package: str | None = None) -> str:
    """The channel's name, for whoever may say who else may."""
    signed_in(session)
    return permitted(session, request, Action.MANAGE, package).name


def add(session: Session, request: Request) -> Response:
    """Give a user a role in a channel, in the place of the one before."""
    channel = _manage(session, request)
    given = _Given.of(session, request, lambda name, role: channel_role(name, role, channel))
    before = [one for one in _of_channel(session, request) if one.account == given.account]
    made = bind(session, given.binding)
    unbind(session, [one for each in before for one in each.bindings if one.id != made.id])
    return Response.json(None, 201)


def add_to_package(session: Session, request: Request) -> Response:
    """Give a user a role on a package; 409 for one who has one there."""
    package = request.fields["package"]
    channel = _manage(session, request, package)
    given = _Given.of(
        session, request, lambda name, role: package_role(name, role, channel, package)
    )
    if any(one.account == given.account for one in _of_package(session, request)):
        message = f"{given.account} has a role on the package {channel}/{package} already."
        raise AlreadyExistsError(message)
    bind(session, given.binding)
    return Response.json(None, 201)


def remove(session: Session, request: Request) -> Response:
    """Take the role in a channel from the user in `?username=`."""
    channel = _manage(session, request)
    name = request.query.get("username")
    if name is None:
        message = "Say whose role it is: ?username=."
        raise RejectedError(message)
    before = [one for one in _of_channel(session, request) if one.account == name]
    if not before:
        message = f"{name} holds no role in the channel {channel}."
        raise MissingError(message)
    unbind(session, [one for each in before for one in each.bindings])
    return Response.json(None)


class _Given:
    """Whom a role is given, and what that comes to."""

    def __init__(self, account: str, binding: Binding) -> None:
        self.account = account
        self.binding = binding

    @classmethod
    def of(cls, session: Session, request: Request, make: Callable[[str, str], Binding]) -> _Given:
        """Read the body; raises `MissingError` for somebody whom nobody knows."""
        fields = Fields.of(request, "username", "role")
        name = fields.text("username")
        role = role_word(fields.values.get("role"))
        if name not in accounts_of(session):
            raise no_such(f"User {name}")
        return cls(name, make(name, role))
