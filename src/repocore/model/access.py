"""Who asks, for what, and what the rules say.

A pattern is ``format/name[/package[/version]]``, compared field by field: ``*`` and ``?`` match
within one field, ``**`` as the last field matches any rest, and fields that are left out match
anything.  A version is written ``version[@user/channel]``; its three fields are compared one by
one, and a missing user or channel is ``_``, so that ``1.0``, ``1.0@`` and ``1.0@_/_`` are one.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from typing import Final, Self

import attrs

from repocore.errors import RejectedError

__all__ = [
    "Action",
    "Anonymous",
    "ApiKey",
    "Bearer",
    "Credentials",
    "Effect",
    "External",
    "Grain",
    "Password",
    "Pattern",
    "Principal",
    "Resource",
    "Rule",
    "Survey",
    "Tier",
    "action_of",
    "actions_of",
]


class Action(enum.Enum):
    """What a rule can grant."""

    READ = "read"
    WRITE = "write"
    OVERWRITE = "overwrite"
    YANK = "yank"
    DELETE = "delete"
    PROMOTE = "promote"
    #: To make repositories, and to own those that one has made.
    CREATE = "create"
    #: To copy the whole installation, hashes of passwords and tokens included; of the site only.
    REPLICATE = "replicate"
    MANAGE = "manage"
    ADMIN = "admin"


class Effect(enum.Enum):
    """What a matching rule decides."""

    ALLOW = "allow"
    DENY = "deny"


class Tier(enum.Enum):
    """The order in which rules are asked: the first tier with an opinion decides."""

    #: An administrator's denies; nothing overrules them.
    DENY = "deny"
    #: Rules of one repository.
    REPOSITORY = "repository"
    #: What comes with the roles that somebody holds; it only allows.
    ROLE = "role"
    #: Rules of the whole site; a private repository is out of their reach.
    SITE = "site"


class Grain(enum.Enum):
    """The finest resource that a format's READ can tell apart."""

    REPOSITORY = "repository"
    PACKAGE = "package"


class Survey(enum.Enum):
    """What one principal may do with all that a repository holds, now and later."""

    ALL = "all"
    NONE = "none"
    MIXED = "mixed"


@attrs.frozen
class Resource:
    """What an action is done to; fields that are None name the whole above them.

    The site itself is ``Resource()``.
    """

    format: str | None = None
    repository: str | None = None
    package: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        fields = (self.format, self.repository, self.package, self.version)
        return "/".join(field for field in fields if field is not None) or "the site"


_FIELDS: Final = 6  # format, repository, package, version, user, channel
_GLOB = re.compile(r"[*?]")


def _version_fields(version: str) -> tuple[str, str, str]:
    number, _, rest = version.partition("@")
    user, _, channel = rest.partition("/")
    return number, user or "_", channel or "_"


def _matcher(field: str) -> Callable[[str], object]:
    if field == "*":
        return lambda _: True
    if not _GLOB.search(field):
        return field.__eq__
    return re.compile(
        "".join(
            {"*": "[^/]*", "?": "[^/]"}.get(c, re.escape(c)) for c in re.sub(r"\*+", "*", field)
        )
    ).fullmatch


@attrs.frozen(eq=False)
class Pattern:
    """A compiled pattern."""

    text: str
    _tests: tuple[Callable[[str], object], ...]

    @classmethod
    def compile(cls, text: str, *, literal: bool = False) -> Self:
        """Read a pattern; raises `RejectedError` with a sentence where it is none.

        With ``literal``, only a field that is exactly ``*`` matches anything else than itself
        (the way of conan_server's permission lines).
        """
        head, at, tail = text.partition("@")
        fields = head.split("/")
        open_end = not at and fields[-1] == "**"
        if open_end:
            fields.pop()
        if len(fields) > 4 or "" in fields or "**" in fields or (at and len(fields) != 4):  # noqa: PLR2004 - the four fields of a pattern
            message = (
                f"{text!r} is not a pattern; write format/name/package/version, for example "
                "conan/main/zlib/**, with * and ? inside a field and ** at the end."
            )
            raise RejectedError(message)
        if len(fields) == 4:  # noqa: PLR2004 - a version is given
            fields[3:] = _version_fields(fields[3] + at + tail)
        make = _literal if literal else _matcher
        return cls(text, tuple(make(field) for field in fields))

    def matches(self, resource: Resource) -> bool:
        """Whether every field of the pattern matches the resource's."""
        fields = _resource_fields(resource)
        if len(self._tests) > len(fields):
            return False
        return all(test(field) for test, field in zip(self._tests, fields, strict=False))

    def covers(self, format: str, repository: str) -> bool | None:
        """Whether it matches all of a repository (True), none of it (False), or some (None)."""
        if not all(
            test(field) for test, field in zip(self._tests, (format, repository), strict=False)
        ):
            return False
        return True if len(self._tests) <= 2 else None  # noqa: PLR2004 - format and name


def _literal(field: str) -> Callable[[str], object]:
    return (lambda _: True) if field == "*" else field.__eq__


def _resource_fields(resource: Resource) -> tuple[str, ...]:
    if resource.format is None:
        return ()
    if resource.repository is None:
        return (resource.format,)
    if resource.package is None:
        return (resource.format, resource.repository)
    if resource.version is None:
        return (resource.format, resource.repository, resource.package)
    version = _version_fields(resource.version)
    return (resource.format, resource.repository, resource.package, *version)


@attrs.frozen(kw_only=True)
class Rule:
    """Who may, or may not, do what to which resources.

    Subjects: ``*`` everyone, ``+`` anyone signed in, ``anonymous``, ``user:NAME``, ``group:NAME``.
    """

    subject: str
    actions: frozenset[Action]
    pattern: str
    effect: Effect = Effect.ALLOW
    tier: Tier = Tier.SITE
    #: The number by which a stored rule is removed; None for one from the settings.
    id: int | None = None
    #: The role that it comes with, in the tier of roles.
    role: str | None = None

    def __attrs_post_init__(self) -> None:
        Pattern.compile(self.pattern)
        if self.tier is Tier.ROLE and (self.role is None or self.effect is not Effect.ALLOW):
            message = "What comes with a role is a binding of that role, and it only allows."
            raise RejectedError(message)
        kind, colon, name = self.subject.partition(":")
        if self.subject not in {"*", "+", "anonymous"} and not (
            colon and name and kind in {"user", "group"}
        ):
            message = (
                f"{self.subject!r} is not a subject; "
                "write *, +, anonymous, user:NAME or group:NAME."
            )
            raise RejectedError(message)
        if not self.actions:
            message = "A rule names at least one action."
            raise RejectedError(message)


@attrs.frozen(kw_only=True)
class Principal:
    """Who is asking.  A ``scope`` can only narrow what the account may do."""

    name: str | None
    groups: frozenset[str] = frozenset()
    #: The allow rules of the token that was used; None when there is no such limit.
    scope: tuple[Rule, ...] | None = None
    #: What proved it: ``password``, ``token``, ``bearer``, a provider's name, ``library``.
    via: str = "anonymous"
    #: The token that was used, so that what is issued for it dies with it.
    token_id: int | None = None
    #: When what proved it runs out, in seconds since 1970; nobody remembers it for longer.
    expires: float | None = None
    #: The embedding application itself; never made from credentials.
    trusted: bool = False

    @property
    def anonymous(self) -> bool:
        """Whether nobody signed in."""
        return self.name is None

    def is_subject(self, subject: str) -> bool:
        """Whether a rule's subject means this principal."""
        if subject == "*":
            return True
        if subject == "+":
            return self.name is not None
        if subject == "anonymous":
            return self.name is None
        kind, _, name = subject.partition(":")
        return name == self.name if kind == "user" else name in self.groups


@attrs.frozen
class Anonymous:
    """No credentials were sent."""


@attrs.frozen
class Password:
    """A user name and a password."""

    username: str
    password: str = attrs.field(repr=False)


@attrs.frozen
class ApiKey:
    """An API token, wherever it was sent."""

    value: str = attrs.field(repr=False)


@attrs.frozen
class Bearer:
    """What came after ``Authorization: Bearer``: a signed token, or an API token."""

    value: str = attrs.field(repr=False)


@attrs.frozen
class External:
    """An identity that another party has proved: an OAuth provider, a front server."""

    provider: str
    subject: str
    profile: tuple[tuple[str, str], ...] = ()


Credentials = Anonymous | Password | ApiKey | Bearer | External


def action_of(name: str) -> Action:
    """Read the name of one action; raises `RejectedError` for another word, and for ``all``."""
    found = actions_of([name])
    if len(found) > 1:
        message = "Ask about one action; all is every one of them."
        raise RejectedError(message)
    return next(iter(found))


def actions_of(names: Iterable[str]) -> frozenset[Action]:
    """Read action names; ``all`` is every action.  Raises `RejectedError` for another word."""
    words = list(names)
    if "all" in words:
        return frozenset(Action)
    known = {action.value: action for action in Action}
    unknown = [word for word in words if word not in known]
    if unknown:
        message = f"An action is one of {', '.join(known)}, or all; {unknown[0][:40]!r} is none."
        raise RejectedError(message)
    return frozenset(known[word] for word in words)
