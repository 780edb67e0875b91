"""``/api/v1/rules``: who may, or may not, do what; in the order in which it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Self

import attrs

from repocore.errors import InvalidRequestError, MissingError
from repocore.http import Request, Response, Route
from repocore.model import Action, Effect, Resource, Rule, Tier
from repocore.plugins.api.answering import tagged
from repocore.plugins.api.describing import route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import number_of, read_body, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import Session

__all__ = ["NewRule", "RuleView", "add", "list_rules", "remove", "routes"]

_FARTHEST: Final = 1 << 30


@attrs.frozen(kw_only=True)
class RuleView:
    """A rule."""

    id: Annotated[int | None, "The number by which it is removed; null for one of the settings."]
    subject: Annotated[str, "Whom it concerns: *, +, anonymous, user:NAME or group:NAME."]
    actions: Annotated[tuple[Action, ...], "What it is about."]
    pattern: Annotated[str, "Where: `format/name/package/version`, with * and ? in a field."]
    effect: Annotated[Effect, "Whether it allows or denies."]
    tier: Annotated[Tier, "When it is asked; the first tier with an opinion decides."]

    @classmethod
    def of(cls, rule: Rule) -> Self:
        """A rule of the settings or of the catalog."""
        return cls(
            id=rule.id,
            subject=rule.subject,
            actions=tuple(action for action in Action if action in rule.actions),
            pattern=rule.pattern,
            effect=rule.effect,
            tier=rule.tier,
        )


@attrs.frozen(kw_only=True)
class NewRule:
    """A rule that is to be."""

    subject: Annotated[str, "Whom it concerns: *, +, anonymous, user:NAME or group:NAME."]
    actions: Annotated[tuple[Action, ...], "What it is about."]
    pattern: Annotated[str, "Where: `format/name/package/version`, with * and ? in a field."]
    effect: Annotated[Effect, "Whether it allows or denies."] = Effect.ALLOW
    tier: Annotated[Tier, "When it is asked; those of roles are bound."] = Tier.SITE
    position: Annotated[int | None, "Before which of the stored rules; the first is 0."] = None


def routes() -> Iterable[Route[Session]]:
    """Three routes of the site."""
    yield route(
        "GET",
        "rules",
        list_rules,
        Action.ADMIN,
        query=PageQuery,
        answers={200: Listing(RuleView)},
    )
    yield route("POST", "rules", add, Action.ADMIN, body=NewRule, answers={201: RuleView})
    yield route("DELETE", "rules/{number}", remove, Action.ADMIN, answers={204: None})


def list_rules(session: Session, request: Request) -> Response:
    """List the rules in the order in which they are asked, those of the settings too."""
    session.require(Action.ADMIN, Resource())
    page = page_of(session, read_query(request, PageQuery), int)
    after = page.after[0] if page.after else 0
    # What comes with roles is told as bindings.
    found = [rule for rule in session.registry.access.rules if rule.role is None]
    placed = enumerate(found[max(after, 0) :], max(after, 0) + 1)
    return answer_page(
        request, page, placed, lambda one: (one[0],), lambda one: RuleView.of(one[1])
    )


def add(session: Session, request: Request) -> Response:
    """Add a rule behind all others, or before one of them."""
    session.require(Action.ADMIN, Resource())
    wanted = read_body(request, NewRule)
    if wanted.position is not None and not 0 <= wanted.position <= _FARTHEST:
        raise InvalidRequestError(problems=("`position` has to be a place in the list of rules.",))
    rule = Rule(
        subject=wanted.subject,
        actions=frozenset(wanted.actions),
        pattern=wanted.pattern,
        effect=wanted.effect,
        tier=wanted.tier,
    )
    made = session.accounts.add_rule(rule, position=wanted.position)
    return tagged(request, RuleView.of(made), 201)


def remove(session: Session, request: Request) -> Response:
    """Remove a rule by its number; those of the settings have none."""
    session.require(Action.ADMIN, Resource())
    missing = MissingError("There is no stored rule of that number.")
    session.accounts.remove_rule(number_of(request, missing))
    return Response(204)
