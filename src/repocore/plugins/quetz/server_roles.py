"""Quetz's roles in words of ours, and back.

A server role is held everywhere or on all channels, a channel's on the channel, a package's on the
package.  Roles that have no word here are made when they are first given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from repocore.errors import RejectedError
from repocore.model import Action, Binding, Role
from repocore.registry import Session

__all__ = [
    "OWN_ROLES",
    "WORDS",
    "Held",
    "bind",
    "channel_role",
    "held",
    "package_role",
    "role_word",
    "server_role",
    "unbind",
]

#: Quetz's words, the strongest first.
WORDS: Final = ("owner", "maintainer", "member")

#: Roles that only this API gives; READ tells channels apart and not packages, so it is in none.
OWN_ROLES: Final[Mapping[str, Role]] = {
    role.name: role
    for role in (
        Role(
            name="quetz-creator",
            actions=frozenset({Action.CREATE}),
            description="Makes channels, and owns those that they have made.",
        ),
        Role(
            name="quetz-package-owner",
            actions=frozenset(
                {Action.WRITE, Action.OVERWRITE, Action.YANK, Action.DELETE, Action.MANAGE}
            ),
            description="Uploads, replaces and deletes a package, and says who else may.",
        ),
        Role(
            name="quetz-package-maintainer",
            actions=frozenset({Action.WRITE, Action.YANK, Action.DELETE}),
            description="Uploads and deletes a package.",
        ),
    )
}

_SERVER: Final = {
    "owner": ("owner", "**"),
    "maintainer": ("owner", "conda/**"),
    "member": ("quetz-creator", "conda/**"),
}
_CHANNEL: Final = {"owner": "owner", "maintainer": "maintainer", "member": "viewer"}
_PACKAGE: Final = {"owner": "quetz-package-owner", "maintainer": "quetz-package-maintainer"}
#: What a role of ours is called there; whoever uploads is a maintainer.
_CHANNEL_WORDS: Final = {name: word for word, name in _CHANNEL.items()} | {"editor": "maintainer"}
_PACKAGE_WORDS: Final = {name: word for word, name in _PACKAGE.items()}


@attrs.frozen
class Held:
    """A role that an account holds: quetz's word for it, where, and the bindings that say so."""

    account: str
    role: str
    channel: str | None = None
    package: str | None = None
    bindings: tuple[Binding, ...] = ()


def role_word(value: object, *, among: Iterable[str] = WORDS) -> str:
    """Return the word if it is one of quetz's roles; raise `RejectedError` otherwise."""
    words = tuple(among)
    if isinstance(value, str) and value in words:
        return value
    message = f"A role is one of {', '.join(words)}."
    raise RejectedError(message)


def server_role(account: str, role: str) -> Binding:
    """What a server role comes to."""
    name, pattern = _SERVER[role_word(role)]
    return Binding(subject=f"user:{account}", role=name, pattern=pattern)


def channel_role(account: str, role: str, channel: str) -> Binding:
    """What a role in a channel comes to."""
    name = _CHANNEL[role_word(role)]
    return Binding(subject=f"user:{account}", role=name, pattern=f"conda/{channel}")


def package_role(account: str, role: str, channel: str, package: str) -> Binding:
    """What a role on a package comes to.

    Raises `RejectedError` for a member: a channel is read as a whole.
    """
    if role == "member":
        message = (
            "A channel is read as a whole, so nobody is let into one package of it; "
            "make them a member of the channel."
        )
        raise RejectedError(message)
    name = _PACKAGE[role_word(role)]
    return Binding(subject=f"user:{account}", role=name, pattern=f"conda/{channel}/{package}")


def bind(session: Session, binding: Binding) -> Binding:
    """Give a role; one of `OWN_ROLES` is made first where it is not there.  Idempotent.

    Raises what `session.roles.bind` raises.
    """
    role = OWN_ROLES.get(binding.role)
    if role is not None and role.name not in session.registry.access.roles:
        house = session.registry.session(session.registry.admin(), source=session.source)
        house.roles.add(role)
    return session.roles.bind(binding)


def unbind(session: Session, bindings: Iterable[Binding]) -> None:
    """Take roles back, as far as they are not of the settings.

    Raises `RejectedError` for those, and what `session.roles.unbind` raises.
    """
    for binding in bindings:
        if binding.id is None:
            message = f"The role {binding.role} stands in the settings; take it out there."
            raise RejectedError(message)
        session.roles.unbind(binding.id)


def held(session: Session, *, where: str) -> list[Held]:
    """Who holds which role, by name and place, in a ``server``, ``channel`` or ``package``.

    It asks nothing of the session: whoever calls it decides who is told.
    """
    best: dict[tuple[str, str, str], Held] = {}
    for one in _words(session.registry.access.bindings, where):
        key = (one.account, one.channel or "", one.package or "")
        found = best.get(key)
        if found is None:
            best[key] = one
            continue
        stronger = min(found, one, key=lambda each: WORDS.index(each.role))
        best[key] = attrs.evolve(stronger, bindings=(*found.bindings, *one.bindings))
    return [best[key] for key in sorted(best)]


def _words(bindings: Iterable[Binding], where: str) -> Iterator[Held]:
    for binding in bindings:
        kind, _, account = binding.subject.partition(":")
        if kind == "user" and (found := _word(account, binding, where)) is not None:
            yield found


def _word(account: str, binding: Binding, where: str) -> Held | None:
    """One binding in quetz's words; None where it has none for it."""
    pattern = binding.pattern.removesuffix("/**")
    fields = pattern.split("/")
    if where == "server":
        for word, (role, scope) in _SERVER.items():
            if (binding.role, binding.pattern) == (role, scope):
                return Held(account, word, bindings=(binding,))
        return None
    if fields[0] != "conda" or "*" in pattern or "?" in pattern:
        return None
    if where == "channel" and len(fields) == 2 and binding.role in _CHANNEL_WORDS:  # noqa: PLR2004 - conda and a channel
        return Held(account, _CHANNEL_WORDS[binding.role], fields[1], bindings=(binding,))
    if where == "package" and len(fields) == 3 and binding.role in _PACKAGE_WORDS:  # noqa: PLR2004 - and a package
        return Held(account, _PACKAGE_WORDS[binding.role], fields[1], fields[2], (binding,))
    return None
