"""The room of permissions: ``session.permissions``, which says why somebody may do something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from repocore.catalog import accounts
from repocore.model import Action, Effect, Principal, Resource, Rule
from repocore.model.decisions import deciding
from repocore.registry.context import Context

__all__ = ["Explanation", "Holder", "Permissions"]


@attrs.frozen(kw_only=True)
class Explanation:
    """A decision, the rule that made it, and a sentence."""

    allowed: bool
    #: That of the rule, ``plugin`` where another authorizer decided, ``nothing`` where nobody did.
    tier: str
    rule: Rule | None
    text: str


@attrs.frozen(kw_only=True)
class Holder:
    """Somebody, and what they may do."""

    name: str
    actions: tuple[Action, ...]
    #: One for each action.
    why: tuple[Explanation, ...]


class Permissions:
    """Why somebody may or may not, and who may.

    For ADMIN of the site, for whoever may MANAGE what is asked about, and for oneself.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def explain(
        self, name: str | None, action: Action, resource: Resource, groups: Iterable[str] = ()
    ) -> Explanation:
        """Which rule decides whether an account may; None is somebody who has not signed in.

        The groups are added to those of the account.  A token's scope is not looked at: it can
        only narrow the answer.
        """
        self._require(name, resource)
        return self._explain(self._principal(name, groups), action, resource)

    def who(self, resource: Resource) -> Iterator[Holder]:
        """Everybody who may do anything with a resource, by name.

        Those who have not signed in come first, then accounts, and names that rules mention and
        another authenticator may know.
        """
        self._require(None, resource)
        with self._context.services.catalog.snapshot() as connection:
            known = {one.name: one.groups for one in accounts.list_accounts(connection)}
        subjects = {rule.subject for rule in self._context.services.book.known.rules}
        named = {subject[5:] for subject in subjects if subject.startswith("user:")}
        nobody = Principal(name=None)
        others = (
            Principal(name=name, groups=known.get(name, frozenset()))
            for name in sorted(named | known.keys())
        )
        for principal in (nobody, *others):
            why = [self._explain(principal, action, resource) for action in Action]
            allowed = [(a, one) for a, one in zip(Action, why, strict=True) if one.allowed]
            if allowed:
                actions, reasons = zip(*allowed, strict=True)
                yield Holder(name=principal.name or "anonymous", actions=actions, why=reasons)

    def _require(self, name: str | None, resource: Resource) -> None:
        context = self._context
        context.enter()
        principal = context.principal
        # A narrow token learns nothing of what it does not reach.
        if name is not None and name == principal.name and principal.scope is None:
            return
        if resource.repository is not None and context.allowed(Action.MANAGE, resource):
            return
        context.require(Action.ADMIN, Resource())

    def _principal(self, name: str | None, groups: Iterable[str]) -> Principal:
        if name is None:
            return Principal(name=None)
        with self._context.services.catalog.snapshot() as connection:
            found = accounts.find_account(connection, name)
        own: frozenset[str] = frozenset() if found is None else found.groups
        return Principal(name=name, groups=own | frozenset(groups))

    def _explain(self, principal: Principal, action: Action, resource: Resource) -> Explanation:
        services = self._context.services
        answer = services.hooks.repocore_authorize(
            registry=services.registry, principal=principal, action=action, resource=resource
        )
        known = services.book.known
        rules = known.concerning(principal, action, resource.format, resource.repository)
        rule = deciding(rules, principal, action, resource)
        allowed = answer is True
        if rule is not None and (rule.effect is Effect.ALLOW) is answer:
            return Explanation(
                allowed=allowed, tier=rule.tier.value, rule=rule, text=_sentence(rule)
            )
        if answer is None:
            text = "denied: no rule and no role says anything, and then nobody may"
            return Explanation(allowed=False, tier="nothing", rule=None, text=text)
        text = f"{_word(allowed)} by an authorizer other than the rules"
        return Explanation(allowed=allowed, tier="plugin", rule=None, text=text)


def _word(allowed: bool) -> str:  # noqa: FBT001 - what it says
    return "allowed" if allowed else "denied"


def _sentence(rule: Rule) -> str:
    word = _word(rule.effect is Effect.ALLOW)
    number = "of the settings" if rule.id is None else str(rule.id)
    if rule.role is not None:
        return f"{word}: {rule.subject} holds {rule.role} on {rule.pattern} (binding {number})"
    actions = ",".join(sorted(action.value for action in rule.actions))
    return (
        f"{word} by rule {number}, tier {rule.tier.value}: {rule.subject} {actions} {rule.pattern}"
    )
