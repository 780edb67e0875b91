"""The room of records: ``session.audit`` — who changed what, and whether the records are whole."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Iterator
from typing import Final

from repocore.catalog import Catalog, audit
from repocore.errors import RejectedError
from repocore.model import Action, AuditQuery, AuditRecord, AuditReport, Resource, Seal
from repocore.registry.context import Context

__all__ = ["Audit", "seal_records"]

#: Seals that one round of the background makes at most; the rest waits for the next.
_ROUNDS: Final = 20
#: Seconds that somebody who wants a seal now waits for another that is at it, and between looks.
_PATIENCE: Final = 10.0
_PAUSE: Final = 0.02
_LISTED: Final = 100
_ALL: Final = AuditQuery()


def seal_records(catalog: Catalog, *, patience: float = 0.0) -> None:
    """Seal what was committed since the last seal; one process of the installation at a time.

    Where another is at it, what that has not seen yet stays open, or is sealed once it is done:
    ``patience`` is for how many seconds that is waited for.
    """
    end = time.monotonic() + patience
    while True:
        with catalog.snapshot() as connection:
            if not audit.open_count(connection):
                return
        with catalog.single("seal") as alone:
            for _ in range(_ROUNDS if alone else 0):
                if catalog.write(audit.seal) is None:
                    return
        if alone or time.monotonic() >= end:
            return
        time.sleep(_PAUSE)


class Audit:
    """The records of changes: one for each, written in its transaction; for ADMIN of the site.

    Whoever may MANAGE a repository reads the records of that.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def list(
        self, query: AuditQuery = _ALL, *, before: int | None = None, limit: int = 100
    ) -> builtins.list[AuditRecord]:
        """Records, the newest first.

        ``before`` is a record's number: what comes next is older.  Raises `RejectedError` for a
        limit beyond `limits.page`.
        """
        self._require(query.what)
        most = self._context.services.settings.limits.page
        if not 0 < limit <= most:
            message = f"Ask for 1 to {most} records at once, and for the next with `before`."
            raise RejectedError(message)
        with self._context.services.catalog.snapshot() as connection:
            return audit.page(connection, query, before=before, limit=limit)

    def export(self, query: AuditQuery = _ALL) -> Iterator[AuditRecord]:
        """Every record, the oldest first, a page at a time."""
        self._require(query.what)
        return self._walk(query)

    def _walk(self, query: AuditQuery) -> Iterator[AuditRecord]:
        with self._context.services.catalog.snapshot() as connection:
            yield from audit.walk(connection, query)

    def seals(self) -> builtins.list[Seal]:
        """Every seal, the oldest first."""
        self._require(None)
        with self._context.services.catalog.snapshot() as connection:
            return [*audit.seals(connection)]

    def seal(self) -> Seal | None:
        """Seal the open records now; the newest seal, None where nothing was ever done.

        A server seals every few seconds by itself.
        """
        self._require(None)
        seal_records(self._context.services.catalog, patience=_PATIENCE)
        with self._context.services.catalog.snapshot() as connection:
            return audit.last_seal(connection)

    def verify(self, noted: Iterable[tuple[int, str]] = ()) -> AuditReport:
        """Whether the records are those that were sealed.

        ``noted`` are seals that were kept elsewhere, as (last, root): whoever rewrote records and
        seals together is found out by them.
        """
        self._require(None)
        problems: builtins.list[str] = []
        with self._context.services.catalog.snapshot() as connection:
            before: Seal | None = None
            records = count = 0
            roots: dict[int, str] = {}
            for seal in audit.seals(connection):
                root, found = audit.root_of(
                    connection, before, 1 if before is None else before.last + 1, seal.last
                )
                if found != seal.count or root != seal.root:
                    problems.append(_misfit(seal, found))
                roots[seal.last] = seal.root
                records, count, before = records + found, count + 1, seal
            problems += [
                f"The seal of record {last} that was noted is {root[:16]}…, and another is there."
                for last, root in noted
                if roots.get(last) != root
            ]
            return AuditReport(
                problems=tuple(problems[:_LISTED]),
                records=records,
                seals=count,
                open=audit.open_count(connection),
                last=before,
            )

    def _require(self, what: str | None) -> None:
        context = self._context
        context.enter()
        fields = (what or "").partition("#")[0].split("/")
        if len(fields) > 1 and context.allowed(Action.MANAGE, Resource(fields[0], fields[1])):
            return
        context.require(Action.ADMIN, Resource())


def _misfit(seal: Seal, found: int) -> str:
    where = f"Records {seal.first} to {seal.last}"
    if found != seal.count:
        return f"{where}: {seal.count} were sealed, and {found} are there."
    return f"{where}: at least one was changed after it was sealed."
