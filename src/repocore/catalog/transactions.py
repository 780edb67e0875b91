"""One write transaction: a connection, the dialect's upsert, and the outbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from sqlalchemy import Connection, Executable, Table, update
from sqlalchemy.engine import CursorResult

from repocore.catalog import tables
from repocore.catalog.dialects import Dialect, now
from repocore.catalog.statements import Statement, columns
from repocore.model import Event, JobFinished, Origin
from repocore.model.events import event_name, event_subject

__all__ = ["SERVER", "Transaction"]

#: What the server does by itself.
SERVER: Final = Origin(who="system", via="server")

_FIELDS: Final = {
    name: value for name, value in columns(tables.audit, at=now()).items() if name != "id"
}
_RECORD: Final = Statement(lambda insert: insert(tables.audit).values(**_FIELDS))


@attrs.frozen
class Transaction:
    """Everything that is written through it becomes visible at once, or not at all."""

    connection: Connection
    dialect: Dialect
    #: Whether anybody listens to events; without listeners the outbox stays empty.
    listened: bool
    #: Whose change it is.
    origin: Origin = SERVER
    #: Whether changes are recorded; the records of a replica are those of its primary.
    recorded: bool = True

    def execute(self, statement: Executable) -> CursorResult[Any]:
        """Run one statement."""
        return self.connection.execute(statement)

    def rows(self, statement: Statement, **values: Any) -> list[Any]:
        """Run a statement of the write path; returns its rows as tuples."""
        return self._run(statement, values).fetchall()

    def change(self, statement: Statement, **values: Any) -> int:
        """Run a statement of the write path that returns no rows; how many it changed."""
        return self._run(statement, values).rowcount

    def _run(self, statement: Statement, values: Mapping[str, Any]) -> Any:
        dialect = self.dialect
        driver = self.connection.connection.driver_connection
        return statement.run(driver, dialect.engine.dialect, dialect.insert, values)

    def insert_missing(self, table: Table, values: Mapping[str, Any]) -> bool:
        """Insert a row unless its unique key is taken; says whether it was inserted."""
        # RETURNING, because not every driver counts the rows of an INSERT.
        key = next(iter(table.primary_key))
        statement = self.dialect.insert(table).values(**values).on_conflict_do_nothing()
        return self.connection.execute(statement.returning(key)).first() is not None

    def upsert(
        self,
        table: Table,
        keys: Sequence[str],
        values: Mapping[str, Any],
        update: Callable[[Any], Mapping[str, Any]],
    ) -> Any:
        """Insert a row, or update the one with these keys; returns it as it is now.

        ``update`` gets the columns that were to be inserted.
        """
        statement = self.dialect.insert(table).values(**values)
        statement = statement.on_conflict_do_update(
            index_elements=list(keys), set_=update(statement.excluded)
        )
        return self.connection.execute(statement.returning(table)).one()

    def emit(
        self,
        event: Event,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a change of state, and tell the listeners once this is committed."""
        unchanged = not self.recorded or (before is not None and before == after)
        # What ends by itself nobody did, and what stays as it was nobody has changed.
        if not isinstance(event, JobFinished) and not unchanged:
            self._record(event, before, after)
        self.tell(event)

    def tell(self, event: Event) -> None:
        """Tell the listeners, once this is committed, of what another record covers."""
        if self.listened:
            values = {
                "kind": type(event).__name__,
                "payload": json.dumps(attrs.asdict(event)),
                "created_at": now(),
            }
            self.execute(tables.events.insert().values(**values))

    def _record(
        self,
        event: Event,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
    ) -> None:
        fields = attrs.asdict(event)
        fields.pop("by")
        origin = self.origin
        self.change(
            _RECORD,
            who=origin.who,
            via=origin.via,
            token_id=origin.token_id,
            source=origin.source,
            kind=event_name(type(event)),
            what=event_subject(event),
            details=_written(fields),
            before=None if before is None else _written(before),
            after=None if after is None else _written(after),
        )

    def bump_access(self, *, rules: bool = False, repositories: bool = False) -> None:
        """Make every process look at accounts anew, and at rules and repositories where they have
        changed.
        """
        version = tables.access.c.version + 1
        values = {"version": version}
        if rules:
            values["rules"] = version
        if repositories:
            values["repositories"] = version
        self.execute(update(tables.access).values(**values))


def _written(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
