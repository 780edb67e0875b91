"""Roles, which are names for several actions, and where accounts hold them.

A binding gives a role to a subject on a pattern.  Bindings only allow, so their order does not
matter: whoever holds several roles may do what any of them names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from repocore.errors import RejectedError
from repocore.model.access import Action, Rule, Tier

__all__ = ["ROLES", "Binding", "Role", "binding_rules", "check_role_name"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")


def check_role_name(name: str) -> str:
    """Return the name if a role can bear it; raise `RejectedError` otherwise."""
    if not _NAME.match(name):
        message = (
            "A role is named by up to 64 small letters, digits, _ and -, and begins with a letter."
        )
        raise RejectedError(message)
    return name


@attrs.frozen(kw_only=True)
class Role:
    """A name for several actions."""

    name: str = attrs.field(validator=lambda _, __, value: check_role_name(value) and None)
    actions: frozenset[Action]
    description: str = ""

    def __attrs_post_init__(self) -> None:
        if not self.actions:
            message = f"The role {self.name} names at least one action."
            raise RejectedError(message)


_WRITING = frozenset({Action.READ, Action.WRITE})
_KEEPING = _WRITING | {Action.OVERWRITE, Action.YANK, Action.DELETE, Action.PROMOTE}

#: The roles that every installation has, each with more than the one before.
ROLES: Final[Mapping[str, Role]] = {
    role.name: role
    for role in (
        Role(name="viewer", actions=frozenset({Action.READ}), description="Reads."),
        Role(name="editor", actions=_WRITING, description="Reads and uploads."),
        Role(
            name="maintainer",
            actions=_KEEPING,
            description="Also replaces, yanks, deletes and promotes.",
        ),
        Role(
            name="owner",
            actions=frozenset(Action),
            description="Everything, and says who else may.",
        ),
    )
}


@attrs.frozen(kw_only=True)
class Binding:
    """Who holds a role, and where; subjects and patterns are those of a `Rule`."""

    subject: str
    role: str
    pattern: str = "**"
    #: The number by which a stored binding is removed; None for one from the settings.
    id: int | None = None

    def __attrs_post_init__(self) -> None:
        check_role_name(self.role)
        self._rule(frozenset(Action))

    def rule(self, roles: Mapping[str, Role]) -> Rule:
        """What it comes to; raises `RejectedError` where there is no such role."""
        role = roles.get(self.role)
        if role is None:
            message = f"There is no role {self.role}; there are {', '.join(sorted(roles))}."
            raise RejectedError(message)
        return self._rule(role.actions)

    def _rule(self, actions: frozenset[Action]) -> Rule:
        return Rule(
            subject=self.subject,
            actions=actions,
            pattern=self.pattern,
            tier=Tier.ROLE,
            role=self.role,
            id=self.id,
        )


def binding_rules(bindings: Iterable[Binding], roles: Mapping[str, Role]) -> list[Rule]:
    """What the bindings come to; one whose role is gone comes to nothing."""
    return [binding.rule(roles) for binding in bindings if binding.role in roles]
