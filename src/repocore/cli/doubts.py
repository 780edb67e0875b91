"""Why what somebody typed may mean nothing, as a name that is mistyped does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # SQLAlchemy takes half a second, which --help must not
    from repocore.registry import Session

__all__ = ["tell", "warn"]


def warn(session: Session, subject: str | None, *patterns: str) -> None:
    """Say on stderr what is not there of a subject of rules and of patterns, or of resources.

    It may come to be there later, so it is no error.
    """
    # The registry's imports, as above.
    from repocore.registry import Known, subject_doubts, where_doubts  # noqa: PLC0415

    accounts = session.accounts
    known = Known(
        accounts={account.name for account in accounts.list()},
        groups=accounts.groups(),
        formats=session.registry.formats,
        repositories={repository.address for repository in session.repositories.list()},
    )
    tell(subject_doubts(subject or "*", known))
    for pattern in patterns:
        tell(where_doubts(pattern, known))


def tell(doubts: Iterable[str]) -> None:
    """Say each of them on stderr."""
    for doubt in doubts:
        click.echo(f"WARNING: {doubt}", err=True)
