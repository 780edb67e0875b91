"""``/api/v1/roles``, ``bindings`` and ``access``: who holds which role, and why somebody may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Self

import attrs

from repocore.errors import MissingError
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action, Binding, Resource, Role, parse_resource
from repocore.plugins.api.answering import (
    plain,
    require_absent,
    require_account,
    require_match,
    tagged,
)
from repocore.plugins.api.describing import route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import number_of, read_body, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import Session

__all__ = [
    "BindingView",
    "ExplainQuery",
    "ExplanationView",
    "HolderView",
    "NewBinding",
    "RoleBody",
    "RoleView",
    "WhoQuery",
    "bind",
    "explain",
    "list_bindings",
    "list_roles",
    "put_role",
    "remove_role",
    "routes",
    "show_role",
    "unbind",
    "who",
]


@attrs.frozen(kw_only=True)
class RoleView:
    """A role: a name for several actions."""

    name: Annotated[str, "Its name."]
    actions: Annotated[tuple[Action, ...], "What who holds it may do."]
    description: Annotated[str, "A line for people."]

    @classmethod
    def of(cls, role: Role) -> Self:
        """A role, its actions in their usual order."""
        actions = tuple(action for action in Action if action in role.actions)
        return cls(name=role.name, actions=actions, description=role.description)


@attrs.frozen(kw_only=True)
class RoleBody:
    """What a role is to be."""

    actions: Annotated[tuple[Action, ...], "What who holds it may do."]
    description: Annotated[str, "A line for people."] = ""


@attrs.frozen(kw_only=True)
class BindingView:
    """A role that somebody holds somewhere."""

    id: Annotated[int | None, "The number by which it is taken back; null for the settings'."]
    subject: Annotated[str, "Who: *, +, user:NAME or group:NAME."]
    role: Annotated[str, "Which role."]
    pattern: Annotated[str, "Where: `format/name/package/version`, or its beginning."]

    @classmethod
    def of(cls, one: Binding) -> Self:
        """A binding of the settings or of the catalog."""
        return cls(id=one.id, subject=one.subject, role=one.role, pattern=one.pattern)


@attrs.frozen(kw_only=True)
class NewBinding:
    """A role that somebody is to hold."""

    subject: Annotated[str, "Who: *, +, user:NAME or group:NAME."]
    role: Annotated[str, "Which role."]
    pattern: Annotated[str, "Where; `**` is everywhere."]


@attrs.frozen(kw_only=True)
class ExplainQuery:
    """Who, what, and where."""

    action: Annotated[Action, "What they would do."]
    who: Annotated[str | None, "Who; nobody, or `anonymous`, is who has not signed in."] = None
    what: Annotated[str, "To what: `format/name/package/version`, its beginning, or `site`."] = ""
    group: Annotated[str | None, "One more group that they are in."] = None


@attrs.frozen(kw_only=True)
class ExplanationView:
    """Whether somebody may do something, and why."""

    allowed: Annotated[bool, "Whether they may."]
    action: Annotated[Action, "What."]
    tier: Annotated[str, "That of the rule, `plugin` for another authorizer, `nothing` for none."]
    text: Annotated[str, "The reason, in a sentence."]


@attrs.frozen(kw_only=True)
class WhoQuery(PageQuery):
    """With what."""

    what: Annotated[str, "`format/name/package/version`, its beginning, or `site`."] = ""


@attrs.frozen(kw_only=True)
class HolderView:
    """Somebody who may do anything with a thing."""

    name: Annotated[str, "The account; `anonymous` is who has not signed in."]
    actions: Annotated[Mapping[str, str], "What they may do, and the tier that decides it."]


def routes() -> Iterable[Route[Session]]:
    """Nine routes of the site."""
    some, page = Admits.ACCOUNTS, PageQuery
    role, nothing = {200: RoleView}, {204: None}
    roles = {200: Listing(RoleView, once="roles")}
    bindings = {200: Listing(BindingView, once="bindings")}
    holders = {200: Listing(HolderView, once="holders")}
    manage, admin = Action.MANAGE, Action.ADMIN
    one = "roles/{role}"
    yield route("GET", "roles", list_roles, some, query=page, answers=roles)
    yield route("GET", one, show_role, some, answers=role)
    yield route("PUT", one, put_role, admin, body=RoleBody, answers=role)
    yield route("DELETE", one, remove_role, admin, answers=nothing)
    yield route("GET", "bindings", list_bindings, some, query=page, answers=bindings)
    yield route("POST", "bindings", bind, manage, body=NewBinding, answers={201: BindingView})
    yield route("DELETE", "bindings/{number}", unbind, manage, answers=nothing)
    yield route(
        "GET",
        "access/explain",
        explain,
        manage,
        query=ExplainQuery,
        answers={200: ExplanationView},
    )
    yield route("GET", "access/who", who, manage, query=WhoQuery, answers=holders)


def list_roles(session: Session, request: Request) -> Response:
    """List the roles and what each lets do."""
    require_account(session)
    page = page_of(session, read_query(request, PageQuery), int)
    start = _start(page.after)
    found = enumerate(session.roles.list()[start:], start + 1)
    return answer_page(
        request, page, found, lambda one: one[:1], lambda one: RoleView.of(one[1]), once="roles"
    )


def show_role(session: Session, request: Request) -> Response:
    """Show a role."""
    require_account(session)
    return tagged(request, _role(session, request))


def _role(session: Session, request: Request) -> RoleView:
    name = request.fields["role"]
    for role in session.roles.list():
        if role.name == name:
            return RoleView.of(role)
    raise MissingError("There is no such role.")


def put_role(session: Session, request: Request) -> Response:
    """Make a role, or change what it lets do: `actions`, and a `description`."""
    session.require(Action.ADMIN, Resource())
    wanted = read_body(request, RoleBody)
    name = request.fields["role"]
    require_match(request, lambda: _role(session, request))
    require_absent(request, lambda: any(role.name == name for role in session.roles.list()))
    role = Role(name=name, actions=frozenset(wanted.actions), description=wanted.description)
    return tagged(request, RoleView.of(session.roles.add(role)))


def remove_role(session: Session, request: Request) -> Response:
    """Remove a role that nobody holds."""
    session.require(Action.ADMIN, Resource())
    require_match(request, lambda: _role(session, request))
    session.roles.remove(request.fields["role"])
    return Response(204)


def list_bindings(session: Session, request: Request) -> Response:
    """List who holds which role where, as far as the asker may manage that."""
    require_account(session)
    page = page_of(session, read_query(request, PageQuery), int)
    start = _start(page.after)
    found = enumerate(session.roles.bindings()[start:], start + 1)
    return answer_page(
        request,
        page,
        found,
        lambda one: one[:1],
        lambda one: BindingView.of(one[1]),
        once="bindings",
    )


def bind(session: Session, request: Request) -> Response:
    """Give a `role` to a `subject` on a `pattern`."""
    wanted = read_body(request, NewBinding)
    made = session.roles.bind(
        Binding(subject=wanted.subject, role=wanted.role, pattern=wanted.pattern)
    )
    return Response.json(plain(BindingView.of(made)), 201)


def unbind(session: Session, request: Request) -> Response:
    """Take a role back, by the number of its binding."""
    missing = MissingError("There is no binding of that number.")
    session.roles.unbind(number_of(request, missing))
    return Response(204)


def explain(session: Session, request: Request) -> Response:
    """Say why `?who=` may do `?action=` with `?what=`, or may not; `?group=` is one more group."""
    query = read_query(request, ExplainQuery)
    found = session.permissions.explain(
        None if query.who in {None, "", "anonymous"} else query.who,
        query.action,
        parse_resource(query.what),
        [query.group] if query.group else (),
    )
    view = ExplanationView(
        allowed=found.allowed, action=query.action, tier=found.tier, text=found.text
    )
    return tagged(request, view)


def who(session: Session, request: Request) -> Response:
    """List everybody who may do anything with `?what=`, and what."""
    query = read_query(request, WhoQuery)
    page = page_of(session, query, int)
    start = _start(page.after)
    holders = session.permissions.who(parse_resource(query.what))
    found = (one for one in enumerate(holders, 1) if one[0] > start)
    return answer_page(
        request,
        page,
        found,
        lambda one: one[:1],
        lambda one: HolderView(
            name=one[1].name,
            actions={
                action.value: why.tier
                for action, why in zip(one[1].actions, one[1].why, strict=True)
            },
        ),
        once="holders",
    )


def _start(after: tuple[int, ...] | None) -> int:
    return max(after[0], 0) if after else 0
