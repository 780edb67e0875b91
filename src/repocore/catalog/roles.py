"""Queries on roles and on who holds them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, delete, select

from repocore.catalog import tables
from repocore.catalog.rows import binding_fields
from repocore.catalog.transactions import Transaction
from repocore.model import Action, Binding, Role

__all__ = [
    "add_binding",
    "bindings",
    "bindings_of",
    "find_binding",
    "find_same",
    "holders",
    "put_role",
    "remove_binding",
    "remove_role",
    "roles",
]

_r = tables.roles
_b = tables.bindings


def roles(connection: Connection) -> dict[str, Role]:
    """The stored roles, by name."""
    rows = connection.execute(select(_r).order_by(_r.c.name))
    return {row.name: _role_of(row) for row in rows}


def put_role(transaction: Transaction, role: Role) -> None:
    """Store a role, or what it is now."""
    values = {
        "name": role.name,
        "actions": ",".join(sorted(action.value for action in role.actions)),
        "description": role.description,
    }
    transaction.upsert(
        _r,
        ["name"],
        values,
        lambda new: {"actions": new.actions, "description": new.description},
    )
    transaction.bump_access(rules=True)


def remove_role(transaction: Transaction, name: str) -> bool:
    """Delete a role; False where there is none of that name."""
    removed = transaction.execute(delete(_r).where(_r.c.name == name)).rowcount
    transaction.bump_access(rules=True)
    return removed == 1


def holders(connection: Connection, role: str) -> list[Binding]:
    """The bindings of a role, by number."""
    statement = select(_b).where(_b.c.role == role).order_by(_b.c.id)
    return [_binding_of(row) for row in connection.execute(statement)]


def bindings(connection: Connection) -> list[Binding]:
    """All bindings, by number."""
    return [_binding_of(row) for row in connection.execute(select(_b).order_by(_b.c.id))]


def bindings_of(connection: Connection, account: str) -> list[Binding]:
    """The bindings of one account, by number."""
    statement = select(_b).where(_b.c.subject == f"user:{account}").order_by(_b.c.id)
    return [_binding_of(row) for row in connection.execute(statement)]


def find_binding(connection: Connection, number: int) -> Binding | None:
    """One binding."""
    row = connection.execute(select(_b).where(_b.c.id == number)).first()
    return None if row is None else _binding_of(row)


def find_same(connection: Connection, binding: Binding) -> Binding | None:
    """The stored binding of the same role to the same on the same, if there is one."""
    row = connection.execute(_same(binding)).first()
    return None if row is None else _binding_of(row)


def _same(binding: Binding) -> Select[Any]:
    mine = (_b.c.subject == binding.subject) & (_b.c.role == binding.role)
    return select(_b).where(mine, _b.c.pattern == binding.pattern)


def add_binding(transaction: Transaction, binding: Binding) -> Binding:
    """Store a binding; the one that is there, if it is there."""
    transaction.insert_missing(_b, binding_fields(binding))
    transaction.bump_access(rules=True)
    return _binding_of(transaction.execute(_same(binding)).one())


def remove_binding(transaction: Transaction, number: int) -> bool:
    """Delete a binding; False where there is none of that number."""
    removed = transaction.execute(delete(_b).where(_b.c.id == number)).rowcount
    transaction.bump_access(rules=True)
    return removed == 1


def _role_of(row: Any) -> Role:
    actions = frozenset(Action(name) for name in row.actions.split(","))
    return Role(name=row.name, actions=actions, description=row.description)


def _binding_of(row: Any) -> Binding:
    return Binding(subject=row.subject, role=row.role, pattern=row.pattern, id=row.id)
