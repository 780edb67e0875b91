"""The first start: the repositories, the administrator and the rules that a new house has."""

from __future__ import annotations

import os
import secrets
from typing import Final

import attrs

from repocore.errors import AlreadyExistsError
from repocore.model import Action, Rule
from repocore.registry import Registry

__all__ = ["ADMIN", "OPENING", "FirstStart", "first_start"]

ADMIN: Final = "admin"
STARTING: Final = ("conan/main",)

#: The command that lets everyone read, for those who want it.
OPENING: Final = "repocore rule add --subject '*' --actions read --pattern 'conan/main/**'"


@attrs.frozen
class FirstStart:
    """What a first start made; the password is None where the operator gave it."""

    name: str
    password: str | None
    open_to_all: bool

    def told(self) -> str:
        """What the operator is told, once."""
        lines = [f"Created the administrator {self.name!r}."]
        if self.password is not None:
            lines.append(f"Its password, shown this once: {self.password}")
        if not self.open_to_all:
            lines.append(f"Nobody reads without signing in. To open reading: {OPENING}")
        return "\n".join(lines)


def first_start(registry: Registry, *, loopback: bool) -> FirstStart | None:
    """Furnish an empty house; None where it was furnished before.

    Of several servers that start at once on one empty folder, one makes the administrator: the
    account is the last thing that is made, and its name is unique.
    """
    session = registry.session(registry.admin())
    if any(account.name == ADMIN for account in session.accounts.list()):
        return None
    there = {repository.address for repository in session.repositories.list()}
    for address in STARTING:
        if address not in there:
            try:
                session.repositories.create(address)
            except AlreadyExistsError:
                continue  # another process was faster
    given = os.environ.get("REPOCORE_ADMIN_PASSWORD") or None
    password = given or secrets.token_urlsafe(18)
    rules = session.accounts.rules()
    wanted = [Rule(subject=f"user:{ADMIN}", actions=frozenset(Action), pattern="**")]
    if loopback:
        wanted += [
            Rule(subject="*", actions=frozenset({Action.READ}), pattern=f"{address}/**")
            for address in STARTING
        ]
    known = {(rule.subject, rule.pattern) for rule in rules}
    for rule in wanted:
        if (rule.subject, rule.pattern) not in known:
            session.accounts.add_rule(rule)
    try:
        session.accounts.add(ADMIN, password)
    except AlreadyExistsError:
        return None
    return FirstStart(ADMIN, None if given else password, loopback)
