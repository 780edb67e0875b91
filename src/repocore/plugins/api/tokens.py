"""``/api/v1/tokens``: make, list and revoke API tokens; a secret is told once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Final, Self

import attrs

from repocore.errors import MissingError, NotAuthenticatedError
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action, Rule, Token
from repocore.plugins.api.answering import plain
from repocore.plugins.api.describing import route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import number_of, read_body, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import TOKEN_PREFIX, Session

__all__ = [
    "MadeTokenView",
    "NewToken",
    "ScopeView",
    "TokenView",
    "TokensQuery",
    "create",
    "list_tokens",
    "revoke",
    "routes",
]

_EVERYBODY: Final = "*"
#: Seconds, far beyond any token's.
_ENDLESS: Final = 10**11


@attrs.frozen(kw_only=True)
class ScopeView:
    """What a token may do where; only what its account may do as well."""

    actions: Annotated[tuple[Action, ...], "What it may do."]
    pattern: Annotated[str, "Where: `format/name/package/version`, with * and ? in a field."]

    @classmethod
    def of(cls, rule: Rule) -> Self:
        """What a rule of a token says."""
        actions = tuple(action for action in Action if action in rule.actions)
        return cls(actions=actions, pattern=rule.pattern)


@attrs.frozen(kw_only=True)
class TokenView:
    """A token, without its secret, which is kept nowhere."""

    id: Annotated[int, "The number by which it is revoked."]
    account: Annotated[str, "Whose it is."]
    name: Annotated[str, "What it is for."]
    begins: Annotated[str | None, "How its secret begins; null where the settings declare it."]
    scope: Annotated[tuple[ScopeView, ...] | None, "What it is narrowed to; null is nothing."]
    created_at: Annotated[datetime, "When it was made."]
    expires_at: Annotated[datetime | None, "When it ends; null is never."]
    last_used_at: Annotated[datetime | None, "When it was last used, to a few minutes."]
    revoked_at: Annotated[datetime | None, "When it was revoked; null is not yet."]

    @classmethod
    def of(cls, one: Token) -> Self:
        """A token as it may be shown."""
        scope = None if one.rules is None else tuple(ScopeView.of(rule) for rule in one.rules)
        return cls(
            id=one.id,
            account=one.account,
            name=one.name,
            begins=None if one.declared else f"{TOKEN_PREFIX}{one.prefix}",
            scope=scope,
            created_at=one.created_at,
            expires_at=one.expires_at,
            last_used_at=one.last_used_at,
            revoked_at=one.revoked_at,
        )


@attrs.frozen(kw_only=True)
class MadeTokenView:
    """A token that was just made, and its secret."""

    token: Annotated[TokenView, "What is kept of it."]
    secret: Annotated[str, "The secret; it is told this once."] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class NewToken:
    """A token that is to be."""

    name: Annotated[str, "What it is for."]
    account: Annotated[str | None, "Whose it is; else one's own."] = None
    scope: Annotated[tuple[ScopeView, ...] | None, "What it is narrowed to; null is nothing."] = (
        None
    )
    lifetime: Annotated[int | None, "How many seconds it lives; null is for ever."] = None


@attrs.frozen(kw_only=True)
class TokensQuery(PageQuery):
    """Which tokens."""

    account: Annotated[str | None, "Whose; else one's own, and those of all with `*`."] = None


def routes() -> Iterable[Route[Session]]:
    """Three routes of the site."""
    yield route(
        "GET",
        "tokens",
        list_tokens,
        Admits.ONESELF,
        query=TokensQuery,
        answers={200: Listing(TokenView)},
    )
    yield route(
        "POST", "tokens", create, Admits.ONESELF, body=NewToken, answers={201: MadeTokenView}
    )
    yield route("DELETE", "tokens/{number}", revoke, Admits.ONESELF, answers={204: None})


def _oneself(session: Session) -> str:
    name = session.principal.name
    if name is None:
        raise NotAuthenticatedError
    return name


def list_tokens(session: Session, request: Request) -> Response:
    """List the tokens of an account, those that are revoked too."""
    own = _oneself(session)
    query = read_query(request, TokensQuery)
    name = own if query.account is None else query.account
    found = session.accounts.tokens(None if name == _EVERYBODY else name)
    page = page_of(session, query, int)
    after = page.after[0] if page.after else 0
    rest = sorted((one for one in found if one.id > after), key=lambda one: one.id)
    return answer_page(request, page, rest, lambda one: (one.id,), TokenView.of)


def create(session: Session, request: Request) -> Response:
    """Make a token, and tell its secret this once."""
    own = _oneself(session)
    wanted = read_body(request, NewToken)
    rules = None
    if wanted.scope is not None:
        rules = [
            Rule(subject="*", actions=frozenset(one.actions), pattern=one.pattern)
            for one in wanted.scope
        ]
    # Whatever is longer than that is too long for the room as well.
    seconds = None if wanted.lifetime is None else max(min(wanted.lifetime, _ENDLESS), 0)
    lifetime = None if seconds is None else timedelta(seconds=seconds)
    token, secret = session.accounts.create_token(
        wanted.account or own, wanted.name, rules=rules, lifetime=lifetime
    )
    return Response.json(plain(MadeTokenView(token=TokenView.of(token), secret=secret)), 201)


def revoke(session: Session, request: Request) -> Response:
    """Revoke a token for good."""
    _oneself(session)
    missing = MissingError("There is no token of that number.")
    session.accounts.revoke_token(number_of(request, missing))
    return Response(204)
