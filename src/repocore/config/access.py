"""``[[role]]``, ``[[binding]]`` and ``[[account]]``: who may what, declared."""

from __future__ import annotations

import attrs

from repocore.config.saying import says
from repocore.config.values import Secret
from repocore.errors import RejectedError
from repocore.model import (
    ROLES,
    Action,
    Binding,
    Pattern,
    Rule,
    actions_of,
    check_account_name,
)
from repocore.model.roles import check_role_name

__all__ = [
    "AccountSettings",
    "BindingSettings",
    "RoleSettings",
    "TokenSettings",
    "scope_rule",
    "some_action",
]

_SHORTEST = 20


def _new_role(name: str) -> None:
    check_role_name(name)
    if name in ROLES:
        raise ValueError(f"the role {name} is always there; choose another name")


def _subject(value: str) -> None:
    Binding(subject=value, role="viewer")


def _long(value: Secret) -> None:
    if len(value) < _SHORTEST or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"a token has at least {_SHORTEST} characters, and no blanks")


def _scopes(value: tuple[str, ...]) -> None:
    for text in value:
        scope_rule(text)


def _distinct_tokens(value: tuple[TokenSettings, ...]) -> None:
    if len({token.name for token in value}) < len(value):
        raise ValueError("two tokens of an account have the same name")


def some_action(value: tuple[Action, ...]) -> None:
    """Raise `ValueError` where a rule or a role is about nothing."""
    if not value:
        raise ValueError("name at least one action, or all")


def scope_rule(text: str) -> Rule:
    """The allow rule that ``ACTIONS:PATTERN`` stands for: ``read,write:conda/main/**``.

    Raises `RejectedError`.
    """
    names, colon, pattern = text.partition(":")
    if not colon:
        message = f"{text!r} is no scope; write actions:pattern, for example read:conan/main/**"
        raise RejectedError(message)
    return Rule(subject="*", actions=actions_of(names.split(",")), pattern=pattern)


@attrs.frozen(kw_only=True)
class RoleSettings:
    """A ``[[role]]``: a name for several actions, beside the roles that are always there."""

    name: str = attrs.field(
        metadata=says("Its name, of small letters, digits, _ and -.", check=_new_role)
    )
    actions: tuple[Action, ...] = attrs.field(
        metadata=says("What who holds it may do; all means every action.", check=some_action)
    )
    description: str = attrs.field(default="", metadata=says("A line for people."))


@attrs.frozen(kw_only=True)
class BindingSettings:
    """A ``[[binding]]``: who holds a role, and where."""

    subject: str = attrs.field(
        metadata=says(
            "Who holds it: * everyone, + anyone signed in, anonymous, user:NAME, group:NAME.",
            check=_subject,
        )
    )
    role: str = attrs.field(
        metadata=says(
            "viewer, editor, maintainer, owner, or a [[role]] of the settings.",
            check=check_role_name,
        )
    )
    pattern: str = attrs.field(
        default="**",
        metadata=says(
            "Where: format/name/package/version, as in a rule; without it everywhere.",
            check=Pattern.compile,
        ),
    )


@attrs.frozen(kw_only=True)
class TokenSettings:
    """A token of an ``[[account]]``, which is known before the server is."""

    name: str = attrs.field(metadata=says("What it is for."))
    secret: Secret = attrs.field(
        repr=False,
        metadata=says(
            "What is sent; another one in its place revokes the one before.", check=_long
        ),
    )
    allow: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says(
            "What it is narrowed to, each as actions:pattern; without any, all that the account "
            "may do.",
            check=_scopes,
        ),
    )


def _no_tokens() -> tuple[TokenSettings, ...]:
    return ()


@attrs.frozen(kw_only=True)
class AccountSettings:
    """An ``[[account]]``: made when the registry opens, if it is not there."""

    name: str = attrs.field(metadata=says("Its name.", check=check_account_name))
    service: bool = attrs.field(
        default=False, metadata=says("Whether it is a machine's, which signs in by tokens only.")
    )
    groups: tuple[str, ...] = attrs.field(
        default=(), metadata=says("The groups that it is in; others are left as they are.")
    )
    email: str = attrs.field(default="", metadata=says("How to reach them."))
    token: tuple[TokenSettings, ...] = attrs.field(
        factory=_no_tokens, metadata=says("Its tokens.", check=_distinct_tokens)
    )
