"""Who changed what: the records of changes, and the seals over them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from repocore.errors import RejectedError

__all__ = ["AuditQuery", "AuditRecord", "AuditReport", "Origin", "Seal"]


@attrs.frozen(kw_only=True)
class Origin:
    """Where a change comes from."""

    who: str
    #: What proved who it is: ``password``, ``token``, ``bearer``, a provider's name, ``library``.
    via: str
    #: The token that was used.
    token_id: int | None = None
    #: The client's address, or ``cli:`` and the user of the machine; empty within an application.
    source: str = ""


@attrs.frozen(kw_only=True)
class AuditRecord:
    """One change of state, written in the transaction that made it."""

    id: int
    at: datetime
    origin: Origin
    #: The event that it is, as in ``release.added``.
    kind: str
    #: What was changed: a repository, ``repository/partition#release``, an account, a subject.
    what: str
    #: The fields of the event.
    details: Mapping[str, Any]
    #: What was there, as far as it was changed; None where nothing was.
    before: Mapping[str, Any] | None
    #: What is there now; None where nothing is.
    after: Mapping[str, Any] | None


@attrs.frozen(kw_only=True)
class AuditQuery:
    """Which records; a field that is None asks for nothing."""

    who: str | None = None
    kind: str | None = None
    #: The whole of it, or its beginning up to a ``/`` or ``#``.
    what: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __attrs_post_init__(self) -> None:
        if any(at is not None and at.tzinfo is None for at in (self.since, self.until)):
            raise RejectedError("A time has a zone: write 2026-01-31T12:00:00Z.")


@attrs.frozen(kw_only=True)
class Seal:
    """A hash over the records from first to last, and over the seal before."""

    first: int
    last: int
    count: int
    #: SHA-256 in hex.
    root: str
    sealed_at: datetime


@attrs.frozen(kw_only=True)
class AuditReport:
    """Whether the records are those that were sealed."""

    #: A sentence for each seal that does not fit its records.
    problems: tuple[str, ...]
    records: int
    seals: int
    #: The records that are not sealed yet.
    open: int
    #: The newest seal; note it elsewhere, and who rewrites all of them is found out, too.
    last: Seal | None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems
