"""Statements of the write path: built once, compiled once for a database, run by its driver.

Every upload runs a dozen of them while the others wait for their turn to write.  To build and
compile such a statement takes several times as long as the database takes to run it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from sqlalchemy import Dialect, Table, bindparam
from sqlalchemy.sql.expression import ClauseElement

__all__ = ["Insert", "Statement", "columns"]

#: Makes the INSERT that knows ON CONFLICT.
Insert = Callable[[Table], Any]


@attrs.frozen
class _Compiled:
    text: str
    #: Values that the statement brings itself, by the name of their parameter.
    own: Mapping[str, Any]
    #: The parameters in order, where the driver counts them; else it takes them by name.
    order: tuple[str, ...] | None

    def parameters(self, values: Mapping[str, Any]) -> Any:
        merged = {**self.own, **values} if self.own else values
        return merged if self.order is None else [merged[name] for name in self.order]


class Statement:
    """A statement with named parameters.

    ``build`` gets the database's INSERT, and gives each parameter as `bindparam` or `columns`.
    """

    def __init__(self, build: Callable[[Insert], ClauseElement]) -> None:
        self._build = build
        self._compiled: dict[str, _Compiled] = {}

    def run(
        self, connection: Any, dialect: Dialect, insert: Insert, values: Mapping[str, Any]
    ) -> Any:
        """Run it on a driver's connection; returns the driver's cursor.

        Raises what the driver raises.
        """
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            # Two threads may do this at once: they come to the same.
            compiled = self._compiled[dialect.name] = self._compile(dialect, insert)
        return connection.execute(compiled.text, compiled.parameters(values))

    def _compile(self, dialect: Dialect, insert: Insert) -> _Compiled:
        compiled: Any = self._build(insert).compile(dialect=dialect)
        own = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        order = compiled.positiontup if compiled.positional else None
        return _Compiled(str(compiled), own, None if order is None else tuple(order))


def columns(table: Table, **others: Any) -> dict[str, Any]:
    """A parameter of its name for each column, except the ``others`` that are given."""
    return {column.name: others.get(column.name, bindparam(column.name)) for column in table.c}
