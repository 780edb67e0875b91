"""Who changed what: the records of changes, and the seals over them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final, get_args

import attrs

from repocore.errors import RejectedError
from repocore.model.events import Event, JobFinished, event_name

__all__ = ["RECORDED", "AuditQuery", "AuditRecord", "AuditReport", "Origin", "Seal"]

#: The kinds of changes that have a record: what ends by itself nobody did.
RECORDED: Final = tuple(sorted(event_name(one) for one in get_args(Event) if one != JobFinished))


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


def _place(what: str | None) -> str | None:
    """A path is written with a slash at either end, too; no record has one there."""
    return what and what.strip("/")


@attrs.frozen(kw_only=True)
class AuditQuery:
    """Which records; a field that is None asks for nothing."""

    who: str | None = None
    #: One of `RECORDED`.
    kind: str | None = None
    #: The whole of it, or its beginning up to a ``/`` or ``#``.
    what: str | None = attrs.field(default=None, converter=_place)
    since: datetime | None = None
    until: datetime | None = None

    def __attrs_post_init__(self) -> None:
        if any(at is not None and at.tzinfo is None for at in (self.since, self.until)):
            raise RejectedError("A time has a zone: write 2026-01-31T12:00:00Z.")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise RejectedError("Nothing is between these times: the first has to be the earlier.")
        if self.kind is not None and self.kind not in RECORDED:
            close = get_close_matches(self.kind, RECORDED, n=1)
            guess = f"Did you mean {close[0]}?" if close else f"There are {', '.join(RECORDED)}."
            raise RejectedError(f"No change is recorded as {self.kind!r}. {guess}")


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
