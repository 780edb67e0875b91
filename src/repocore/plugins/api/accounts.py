"""``/api/v1/accounts``, ``groups`` and ``me``: people and machines, and who is asking."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Self

import attrs

from repocore.http import Admits, Request, Response, Route
from repocore.model import Account, Action, Resource
from repocore.plugins.api.answering import require_match, tagged
from repocore.plugins.api.describing import TOP, route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import read_body, read_changes, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.plugins.api.tokens import ScopeView
from repocore.registry import Session

__all__ = [
    "AccountChanges",
    "AccountView",
    "GroupView",
    "MeView",
    "NewAccount",
    "NewPassword",
    "add",
    "change",
    "join",
    "leave",
    "list_accounts",
    "list_groups",
    "me",
    "remove",
    "routes",
    "set_password",
    "show",
]


@attrs.frozen(kw_only=True)
class AccountView:
    """Somebody who can sign in."""

    name: Annotated[str, "The name."]
    email: Annotated[str, "An address for people to write to."]
    groups: Annotated[tuple[str, ...], "The groups that it is in."]
    disabled: Annotated[bool, "Whether whatever signs in as it is refused."]
    service: Annotated[bool, "Whether it is a machine's, which signs in by tokens only."]
    created_at: Annotated[datetime, "When it was made."]

    @classmethod
    def of(cls, one: Account) -> Self:
        """An account, without anything that proves who it is."""
        return cls(
            name=one.name,
            email=one.email,
            groups=tuple(sorted(one.groups)),
            disabled=one.disabled,
            service=one.service,
            created_at=one.created_at,
        )


@attrs.frozen(kw_only=True)
class NewAccount:
    """An account that is to be."""

    name: Annotated[str, "Letters, digits and . _ @ + -."]
    password: Annotated[str | None, "Without one it signs in by tokens, or elsewhere."] = (
        attrs.field(default=None, repr=False)
    )
    email: Annotated[str, "An address for people to write to."] = ""
    groups: Annotated[tuple[str, ...], "The groups that it is in."] = ()
    service: Annotated[bool, "Whether it is a machine's, which signs in by tokens only."] = False


@attrs.frozen(kw_only=True)
class AccountChanges:
    """What is to change of an account; what is not sent stays."""

    email: Annotated[str | None, "An address; null is none."] = None
    disabled: Annotated[bool, "Whether whatever signs in as it is refused."] = False


@attrs.frozen(kw_only=True)
class NewPassword:
    """A password that is to be."""

    password: Annotated[str, "Up to 1024 characters."] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class GroupView:
    """A group and its members."""

    name: Annotated[str, "Its name."]
    members: Annotated[tuple[str, ...], "The accounts in it."]


@attrs.frozen(kw_only=True)
class MeView:
    """Who is asking."""

    name: Annotated[str | None, "The name; null for who has not signed in."]
    groups: Annotated[tuple[str, ...], "The groups, those of other authenticators too."]
    via: Annotated[str, "What proved it: password, token, bearer, or a provider's name."]
    administrator: Annotated[bool, "Whether it may administer the site, as it signed in."]
    token_id: Annotated[int | None, "The token that was used."]
    scope: Annotated[tuple[ScopeView, ...] | None, "What the token narrows it to; null is all."]
    expires_at: Annotated[datetime | None, "When what proved it runs out."]


def routes() -> Iterable[Route[Session]]:
    """Ten routes of the site."""
    one = "accounts/{account}"
    member = "groups/{group}/members/{account}"
    page = PageQuery
    view = {200: AccountView}
    nothing = {204: None}
    yield route("GET", "me", me, Admits.ANYONE, answers={200: MeView})
    yield route(
        "GET",
        "accounts",
        list_accounts,
        Action.ADMIN,
        query=page,
        answers={200: Listing(AccountView)},
    )
    yield route("POST", "accounts", add, Action.ADMIN, body=NewAccount, answers={201: AccountView})
    yield route("GET", one, show, Admits.ONESELF, answers=view)
    yield route("PATCH", one, change, Action.ADMIN, body=AccountChanges, answers=view)
    yield route("DELETE", one, remove, Action.ADMIN, answers=nothing)
    yield route(
        "PUT", f"{one}/password", set_password, Admits.ONESELF, body=NewPassword, answers=nothing
    )
    yield route(
        "GET", "groups", list_groups, Action.ADMIN, query=page, answers={200: Listing(GroupView)}
    )
    yield route("PUT", member, join, Action.ADMIN, answers=nothing)
    yield route("DELETE", member, leave, Action.ADMIN, answers=nothing)


def me(session: Session, request: Request) -> Response:
    """Tell who is asking, and what proved it."""
    who = session.principal
    scope = None if who.scope is None else tuple(ScopeView.of(rule) for rule in who.scope)
    view = MeView(
        name=who.name,
        groups=tuple(sorted(who.groups)),
        via=who.via,
        administrator=session.allowed(Action.ADMIN, Resource()),
        token_id=who.token_id,
        scope=scope,
        expires_at=None if who.expires is None else datetime.fromtimestamp(who.expires, UTC),
    )
    return tagged(request, view)


def list_accounts(session: Session, request: Request) -> Response:
    """List the accounts, by name."""
    session.require(Action.ADMIN, Resource())
    page = page_of(session, read_query(request, PageQuery), str)
    found = session.accounts.list()
    start = bisect.bisect_right(found, page.after[0], key=lambda one: one.name) if page.after else 0
    return answer_page(request, page, found[start:], lambda one: (one.name,), AccountView.of)


def add(session: Session, request: Request) -> Response:
    """Make an account."""
    session.require(Action.ADMIN, Resource())
    wanted = read_body(request, NewAccount)
    made = session.accounts.add(
        wanted.name,
        wanted.password,
        groups=wanted.groups,
        email=wanted.email,
        service=wanted.service,
    )
    answer = tagged(request, AccountView.of(made), 201)
    where = ("Location", f"{request.base_url}{TOP}/accounts/{made.name}")
    return attrs.evolve(answer, headers=(*answer.headers, where))


def _view(session: Session, request: Request) -> AccountView:
    return AccountView.of(session.accounts.get(request.fields["account"]))


def show(session: Session, request: Request) -> Response:
    """Show an account; everybody may look at their own."""
    return tagged(request, _view(session, request))


def change(session: Session, request: Request) -> Response:
    """Change what is sent of an account, and keep the rest (RFC 7396)."""
    session.require(Action.ADMIN, Resource())
    sent = read_changes(request, AccountChanges)
    require_match(request, lambda: _view(session, request))
    if "email" in sent:
        sent["email"] = sent["email"] or ""
    session.accounts.configure(request.fields["account"], **sent)
    return tagged(request, _view(session, request))


def remove(session: Session, request: Request) -> Response:
    """Delete an account with its tokens, memberships and rules."""
    session.require(Action.ADMIN, Resource())
    require_match(request, lambda: _view(session, request))
    session.accounts.remove(request.fields["account"])
    return Response(204)


def set_password(session: Session, request: Request) -> Response:
    """Set the password of an account; everybody may set their own."""
    name = request.fields["account"]
    session.accounts.get(name)
    session.accounts.set_password(name, read_body(request, NewPassword).password)
    return Response(204)


def list_groups(session: Session, request: Request) -> Response:
    """List the groups that have members, by name."""
    session.require(Action.ADMIN, Resource())
    page = page_of(session, read_query(request, PageQuery), str)
    found = session.accounts.groups()
    after = page.after[0] if page.after else ""
    names = [name for name in sorted(found) if name > after]

    def view(name: str) -> GroupView:
        return GroupView(name=name, members=tuple(sorted(found[name])))

    return answer_page(request, page, names, lambda name: (name,), view)


def join(session: Session, request: Request) -> Response:
    """Put an account into a group, new or not."""
    session.require(Action.ADMIN, Resource())
    session.accounts.add_to_group(request.fields["group"], request.fields["account"])
    return Response(204)


def leave(session: Session, request: Request) -> Response:
    """Take an account out of a group."""
    session.require(Action.ADMIN, Resource())
    session.accounts.remove_from_group(request.fields["group"], request.fields["account"])
    return Response(204)
