"""Who there is at a primary and what they may do, as its replica writes it: all of it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
from sqlalchemy import Table, delete, select, tuple_, update

from repocore.catalog import following, repositories, tables
from repocore.catalog.replication import ACCESS
from repocore.catalog.transactions import Transaction

__all__ = ["bring_access"]

#: What each installation notes for itself.
_OWN: Final = frozenset({"last_used_at", "last_at", "profile"})
#: Tables to which the replica adds by itself, so that nothing is taken out of them.
_KEPT: Final = frozenset({"spent"})
_AT_ONCE: Final = 500


def bring_access(transaction: Transaction, version: int, rows: Iterable[Mapping[str, Any]]) -> None:
    """Have exactly these repositories, accounts and rules; ``rows`` are of all tables, in order.

    A repository that is not among them goes with all it has.
    """
    following.require(transaction)
    transaction.dialect.unbound(transaction.connection)
    wanted: dict[str, list[Mapping[str, Any]]] = {table.name: [] for table in ACCESS}
    for one in rows:
        # A primary of a later version may have tables that we do not know.
        if one["table"] in wanted:
            wanted[one["table"]].append(one["row"])
    _drop_repositories(transaction, wanted[tables.repositories.name])
    merges = [_Merge.of(transaction, table, wanted[table.name]) for table in ACCESS]
    # Who refers to others goes before them, and comes after them.
    for merge in reversed(merges):
        merge.remove()
    for merge in merges:
        merge.write()
    following.note(transaction, access=version)
    transaction.bump_access(rules=True, repositories=True)


def _drop_repositories(transaction: Transaction, wanted: Sequence[Mapping[str, Any]]) -> None:
    there = {(row["id"], row["created_at"]) for row in wanted}
    t = tables.repositories
    for row in transaction.execute(select(t.c.id, t.c.created_at)).all():
        if (row.id, row.created_at) not in there:
            repositories.forget(transaction, row.id)


@attrs.frozen
class _Merge:
    """The rows of one table, and those that it is to have."""

    _transaction: Transaction
    _table: Table
    _before: Mapping[tuple[Any, ...], Mapping[str, Any]]
    _after: Mapping[tuple[Any, ...], Mapping[str, Any]]

    @classmethod
    def of(
        cls, transaction: Transaction, table: Table, rows: Iterable[Mapping[str, Any]]
    ) -> _Merge:
        names = [column.name for column in table.columns]
        key = [column.name for column in table.primary_key]

        def by_key(found: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
            # A primary of a later version may know columns that we do not.
            return {
                tuple(row[name] for name in key): {n: row[n] for n in names if n in row}
                for row in found
            }

        before = transaction.execute(select(table)).mappings().all()
        return cls(transaction, table, by_key(dict(row) for row in before), by_key(rows))

    def _is(self, key: tuple[Any, ...]) -> Any:
        columns = [*self._table.primary_key]
        return tuple_(*columns) == key if len(columns) > 1 else columns[0] == key[0]

    def remove(self) -> None:
        """Take out what is there no more."""
        if self._table.name in _KEPT:
            return
        for key in self._before.keys() - self._after.keys():
            self._transaction.execute(delete(self._table).where(self._is(key)))

    def write(self) -> None:
        """Add and change what is new and other."""
        new = [row for key, row in self._after.items() if key not in self._before]
        for start in range(0, len(new), _AT_ONCE):
            part = [self._filled(row) for row in new[start : start + _AT_ONCE]]
            self._transaction.connection.execute(self._table.insert(), part)
        for key, row in self._after.items():
            before = self._before.get(key)
            if before is None:
                continue
            other = {n: v for n, v in row.items() if n not in _OWN and before[n] != v}
            if other:
                self._transaction.execute(update(self._table).where(self._is(key)).values(**other))

    def _filled(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        counted = {"bytes": 0, "file_count": 0} if self._table is tables.repositories else {}
        return {**counted, **row}
