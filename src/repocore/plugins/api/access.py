"""``/api/v1/roles``, ``bindings`` and ``access``: who holds which role, and why somebody may."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from repocore.errors import MissingError, NotAuthenticatedError, RejectedError
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action, Binding, Role, action_of, actions_of, parse_resource
from repocore.registry import Session

__all__ = [
    "bind",
    "explain",
    "list_bindings",
    "list_roles",
    "put_role",
    "remove_role",
    "routes",
    "unbind",
    "who",
]

_DIGITS: Final = 18


def routes() -> Iterable[Route[Session]]:
    """Eight routes of the site."""
    for method, template, handler, permission in (
        ("GET", "roles", list_roles, Admits.ACCOUNTS),
        ("PUT", "roles/{name}", put_role, Action.ADMIN),
        ("DELETE", "roles/{name}", remove_role, Action.ADMIN),
        ("GET", "bindings", list_bindings, Admits.ACCOUNTS),
        ("POST", "bindings", bind, Action.MANAGE),
        ("DELETE", "bindings/{number}", unbind, Action.MANAGE),
        ("GET", "access/explain", explain, Action.MANAGE),
        ("GET", "access/who", who, Action.MANAGE),
    ):
        summary = (handler.__doc__ or "").strip().splitlines()[0]
        yield Route(
            method=method,
            template=f"/api/v1/{template}",
            handler=handler,
            summary=summary,
            permission=permission,
        )


def list_roles(session: Session, _request: Request) -> Response:
    """List the roles and what each lets do."""
    _signed_in(session)
    return Response.json({"roles": [_role(role) for role in session.roles.list()]})


def put_role(session: Session, request: Request) -> Response:
    """Make a role, or change what it lets do: `actions`, and a `description`."""
    fields = request.json("actions", "description")
    role = Role(
        name=request.fields["name"],
        actions=actions_of(_texts(fields.get("actions"), "actions")),
        description=_text(fields.get("description", ""), "description"),
    )
    return Response.json(_role(session.roles.add(role)))


def remove_role(session: Session, request: Request) -> Response:
    """Remove a role that nobody holds."""
    session.roles.remove(request.fields["name"])
    return Response(204)


def list_bindings(session: Session, _request: Request) -> Response:
    """List who holds which role where, as far as the asker may manage that."""
    _signed_in(session)
    return Response.json({"bindings": [_binding(one) for one in session.roles.bindings()]})


def bind(session: Session, request: Request) -> Response:
    """Give a `role` to a `subject` on a `pattern`, or everywhere."""
    fields = request.json("subject", "role", "pattern")
    made = session.roles.bind(
        Binding(
            subject=_text(fields.get("subject"), "subject"),
            role=_text(fields.get("role"), "role"),
            pattern=_text(fields.get("pattern", "**"), "pattern"),
        )
    )
    return Response.json(_binding(made), 201)


def unbind(session: Session, request: Request) -> Response:
    """Take a role back, by the number of its binding."""
    written = request.fields["number"]
    if not (written.isascii() and written.isdecimal() and len(written) <= _DIGITS):
        message = "There is no binding of that number."
        raise MissingError(message)
    session.roles.unbind(int(written))
    return Response(204)


def explain(session: Session, request: Request) -> Response:
    """Say why `?who=` may do `?action=` with `?what=`, or may not; `?group=` is one more group."""
    query = request.query
    name, group = query.get("who"), query.get("group")
    action = action_of(query.get("action", ""))
    found = session.permissions.explain(
        None if name in {None, "", "anonymous"} else name,
        action,
        parse_resource(query.get("what", "")),
        [group] if group else (),
    )
    return Response.json(
        {"allowed": found.allowed, "action": action.value, "tier": found.tier, "text": found.text}
    )


def who(session: Session, request: Request) -> Response:
    """List everybody who may do anything with `?what=`, and what."""
    found = session.permissions.who(parse_resource(request.query.get("what", "")))
    holders = [
        {
            "name": one.name,
            "actions": {
                action.value: why.tier for action, why in zip(one.actions, one.why, strict=True)
            },
        }
        for one in found
    ]
    return Response.json({"holders": holders})


def _signed_in(session: Session) -> None:
    if session.principal.anonymous:
        raise NotAuthenticatedError


def _role(role: Role) -> dict[str, Any]:
    actions = [action.value for action in Action if action in role.actions]
    return {"name": role.name, "actions": actions, "description": role.description}


def _binding(one: Binding) -> dict[str, Any]:
    return {"id": one.id, "subject": one.subject, "role": one.role, "pattern": one.pattern}


def _text(value: object, name: str) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    message = f"`{name}` has to be a text."
    raise RejectedError(message)


def _texts(value: object, name: str) -> list[str]:
    if isinstance(value, list):
        return [_text(one, name) for one in cast("list[object]", value)]
    message = f"`{name}` has to be a list of texts."
    raise RejectedError(message)
