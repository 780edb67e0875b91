"""Why what somebody typed may mean nothing, as a name that is mistyped does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # SQLAlchemy takes half a second, which --help must not
    from repocore.registry import Session

__all__ = ["warn"]


def warn(session: Session, subject: str | None, pattern: str) -> None:
    """Say on stderr what is not there of a subject of rules and of a pattern, or of a resource.

    It may come to be there later, so it is no error.
    """
    for doubt in (*_of_subject(session, subject or "*"), *_of_pattern(session, pattern)):
        click.echo(f"WARNING: {doubt}", err=True)


def _of_subject(session: Session, subject: str) -> Iterator[str]:
    kind, _, name = subject.partition(":")
    accounts = session.accounts
    if kind == "user" and all(account.name != name for account in accounts.list()):
        yield f"there is no account {name}; only another authenticator could sign in as that."
    elif kind == "group" and name not in accounts.groups():
        yield f"nobody is in a group {name}."


def _of_pattern(session: Session, pattern: str) -> Iterator[str]:
    first, _, rest = pattern.partition("/")
    formats = session.registry.formats
    if first not in formats and not {"*", "?"} & {*first}:
        yield f"there is no format {first}; there are {', '.join(sorted(formats))}."
    second = rest.partition("/")[0]
    addresses = {repository.address for repository in session.repositories.list()}
    if first in formats and second and not {"*", "?"} & {*second}:
        address = f"{first}/{second}"
        if address not in addresses:
            yield f"there is no repository {address}."
