"""Every route asks for the permission that it states, before anything else, and tells nobody else.

The routes are those of the registry: one that is new is asked, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from route_requests import NOWHERE, OTHERWISE, THERE, WRITES, sample
from wsgi_calls import Answer

from repocore import Action, Rule
from repocore.http import Admits, Route
from repocore_web.site import site_routes

REFUSED = frozenset({401, 403, 404})
#: What changes something for whoever asks, and asks nobody's permission: to sign in, and out.
SIGNING_IN = ("/auth/", "/api/oidc/mint_token")


def routes(fortress) -> Iterator[Route[Any]]:
    for route in (*site_routes(fortress.registry), *fortress.registry.routes()):
        if route.template not in OTHERWISE:
            yield route


def name(route: Route[Any]) -> str:
    return f"{route.method} {route.format or ''}{route.template}"


def last_record(fortress) -> int:
    return fortress.admin.audit.list(limit=1)[0].id


def alike(there: Answer, nowhere: Answer) -> bool:
    """Whether two answers tell nothing of which of the two is there."""

    def told(answer: Answer, words: list[str]) -> tuple[int, str]:
        text = answer.body.decode(errors="replace")
        for number, word in enumerate(words):
            text = text.replace(word, f"<{number}>")
        return answer.status, "" if "request_id" in text else text

    return told(there, THERE.words) == told(nowhere, NOWHERE.words)


def refusals(fortress, secret: str | None, kinds: Any) -> list[str]:
    """What is wrong with the answers of routes that must refuse."""
    wrong: list[str] = []
    before = last_record(fortress)
    for route in routes(fortress):
        if not kinds(route):
            continue
        there = fortress.ask(sample(route, THERE), secret)
        nowhere = fortress.ask(sample(route, NOWHERE), secret)
        if there.status not in REFUSED:
            wrong.append(f"{name(route)}: {there.status} {there.body[:100]!r}")
        elif not alike(there, nowhere):
            wrong.append(
                f"{name(route)}: {there.status} {there.body[:80]!r} where it is, "
                f"{nowhere.status} {nowhere.body[:80]!r} where it is not"
            )
    if last_record(fortress) != before:
        wrong.append(f"something was changed: {fortress.admin.audit.list(limit=1)[0]}")
    return wrong


def test_nobody_gets_in_who_has_not_signed_in(fortress) -> None:
    """401 or 404, the same for what is there and what is not."""
    wrong = refusals(fortress, None, lambda route: not is_open(route))
    assert not wrong, "\n".join(wrong)


def is_open(route: Route[Any]) -> bool:
    return route.permission in {Admits.ANYONE, Admits.READERS}


def test_nobody_gets_in_who_has_no_permission(fortress) -> None:
    """Whoever has signed in and may nothing: 403 or 404, the same for what is there or not."""
    secret = fortress.token("eve")
    wrong = refusals(fortress, secret, lambda route: isinstance(route.permission, Action))
    assert not wrong, "\n".join(wrong)


def test_what_is_somebodys_own_is_nobody_elses(fortress) -> None:
    """Of another account one sees nothing and changes nothing; lists show one's own."""
    secret = fortress.token("eve")
    wrong: list[str] = []
    before = last_record(fortress)
    for route in routes(fortress):
        if route.permission is not Admits.ONESELF:
            continue
        asked = sample(route, THERE)
        answer = fortress.ask(asked, secret)
        text = answer.body.decode()
        own = answer.status < 300 and "olga" not in asked.target
        if answer.status >= 500 or not (own or answer.status in REFUSED | {405, 422}):
            wrong.append(f"{name(route)}: {answer.status} {text[:100]}")
        if own and "olga" in text:
            wrong.append(f"{name(route)} tells of somebody else: {text[:100]}")
    mine = [one for one in fortress.admin.audit.list() if one.id > before]
    assert [one for one in mine if one.what != "eve"] == []
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("action", list(Action))
def test_a_token_does_what_its_scope_says_and_no_more(fortress, action) -> None:
    """Also one of somebody who may everything; each action apart, on every route."""
    rule = Rule(subject="*", actions=frozenset({action}), pattern="**")
    secret = fortress.token("olga", rule)
    wrong: list[str] = []
    before = last_record(fortress)
    for route in routes(fortress):
        if not isinstance(route.permission, Action) or action in enough(route.permission):
            continue
        answer = fortress.ask(sample(route, THERE), secret)
        if answer.status not in REFUSED:
            wrong.append(f"{name(route)}: {answer.status} {answer.body[:100]!r}")
    if last_record(fortress) != before:
        wrong.append(f"something was changed: {fortress.admin.audit.list(limit=1)[0]}")
    assert not wrong, "\n".join(wrong)


def enough(permission: Action) -> set[Action]:
    """Who may administer the site says who may what, makes repositories, and
    replicates.
    """
    those = {Action.MANAGE, Action.CREATE, Action.REPLICATE}
    more = {Action.ADMIN} if permission in those else set[Action]()
    return {permission, *more}


def test_a_narrow_token_changes_nothing_of_its_account(fortress) -> None:
    """It makes no token that may more, and sets no password."""
    rule = Rule(subject="*", actions=frozenset(Action), pattern="conda/vault")
    secret = fortress.token("olga", rule)
    wrong: list[str] = []
    before = last_record(fortress)
    for route in routes(fortress):
        if route.method in WRITES and route.permission in {Admits.ONESELF, Admits.ACCOUNTS}:
            answer = fortress.ask(sample(route, THERE), secret)
            if answer.status < 300:
                wrong.append(f"{name(route)}: {answer.status} {answer.body[:100]!r}")
    if last_record(fortress) != before:
        wrong.append(f"something was changed: {fortress.admin.audit.list(limit=1)[0]}")
    assert not wrong, "\n".join(wrong)


def test_a_scope_of_elsewhere_opens_nothing(fortress) -> None:
    """Everything is allowed, and elsewhere."""
    rule = Rule(subject="*", actions=frozenset(Action), pattern="conda/elsewhere/**")
    secret = fortress.token("olga", rule)
    wrong = refusals(fortress, secret, lambda route: isinstance(route.permission, Action))
    assert not wrong, "\n".join(wrong)


def test_what_anybody_may_ask_tells_nothing(fortress) -> None:
    """No name of what is hidden; whoever has no permission gets the lists without it."""
    wrong: list[str] = []
    for secret in (None, fortress.token("eve")):
        for route in routes(fortress):
            if route.permission in {Admits.READERS, Admits.ANYONE, Admits.ACCOUNTS}:
                asked = sample(route, THERE)
                if asked.method in WRITES:
                    continue
                answer = fortress.ask(asked, secret)
                text = answer.body.decode(errors="replace")
                found = [w for w in ("vault", "tide", "zebra", "olga") if w in text]
                found = [word for word in found if word not in asked.target]
                if answer.status >= 500 or found:
                    wrong.append(f"{name(route)}: {answer.status} {found} {text[:100]}")
    assert not wrong, "\n".join(wrong)


def test_what_reads_changes_nothing(fortress) -> None:
    """A route that needs no more than READ is a GET, and leaves no record."""
    wrong: list[str] = []
    secret = fortress.token("olga")
    before = last_record(fortress)
    for route in routes(fortress):
        if route.method in WRITES:
            harmless = route.permission in {Action.READ, Admits.READERS} or (
                route.permission is Admits.ANYONE and not route.template.startswith(SIGNING_IN)
            )
            if harmless:
                wrong.append(f"{name(route)} changes something, and needs no more than to read")
            continue
        answer = fortress.ask(sample(route, THERE), secret)
        if answer.status >= 500:
            wrong.append(f"{name(route)}: {answer.status} {answer.body[:100]!r}")
    if last_record(fortress) != before:
        wrong.append(f"something was changed: {fortress.admin.audit.list(limit=1)[0]}")
    assert not wrong, "\n".join(wrong)


def test_nothing_changes_while_it_is_read_only(sealed) -> None:
    """Whoever may change everything is told that it is not the time; what reads goes on."""
    house, secret = sealed
    before = last_record(house)
    wrong: list[str] = []
    refused = 0
    for route in routes(house):
        answer = house.ask(sample(route, THERE), secret)
        refused += answer.status == 503 and "read-only" in answer.body.decode()
        if last_record(house) != before:
            wrong.append(f"{name(route)} changed something: {answer.status}")
            before = last_record(house)
        if route.method not in WRITES and answer.status >= 500:
            wrong.append(f"{name(route)}: {answer.status} {answer.body[:100]!r}")
    assert not wrong, "\n".join(wrong)
    assert refused > 40


def test_whoever_may_is_let_in(fortress, rebuilt) -> None:
    """Every route serves its request to whoever has the permission: the others are no accident."""
    wrong: list[str] = []
    house, secret = fortress, fortress.token("olga")
    ordered = sorted(routes(fortress), key=lambda route: route.method in WRITES)
    for route in ordered:
        if isinstance(route.permission, Admits):
            continue
        answer = (
            None
            if route.method in WRITES and house is fortress
            else house.ask(sample(route, THERE), secret)
        )
        if answer is None or answer.status in REFUSED:
            if route.method in WRITES:  # an earlier one has removed it
                house = rebuilt()
                secret = house.token("olga")
            answer = house.ask(sample(route, THERE), secret)
        if answer.status in REFUSED or answer.status >= 500:
            wrong.append(f"{name(route)}: {answer.status} {answer.body[:160]!r}")
    assert not wrong, "\n".join(wrong)
