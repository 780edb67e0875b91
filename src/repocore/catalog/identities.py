"""Queries on identities, and on what may be used once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, select, update

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.rows import time_of
from repocore.catalog.transactions import Transaction
from repocore.model import Identity

__all__ = [
    "add_identity",
    "find_identity",
    "is_spent",
    "list_identities",
    "remove_identity",
    "spend",
    "use_identity",
]

_i = tables.identities
_a = tables.accounts
_s = tables.spent

_identities = select(_i, _a.c.name.label("account")).join(_a, _a.c.id == _i.c.account_id)


def _identity_of(row: Any) -> Identity:
    return Identity(
        provider=row.provider,
        subject=row.subject,
        account=row.account,
        profile=json.loads(row.profile),
        created_at=time_of(row.created_at),
        last_at=time_of(row.last_at),
    )


def _mine(provider: str, subject: str) -> Any:
    return (_i.c.provider == provider) & (_i.c.subject == subject)


def find_identity(connection: Connection, provider: str, subject: str) -> Identity | None:
    """One identity."""
    row = connection.execute(_identities.where(_mine(provider, subject))).first()
    return None if row is None else _identity_of(row)


def list_identities(connection: Connection, account: str | None) -> list[Identity]:
    """Those of an account, or all."""
    statement = _identities.order_by(_a.c.name, _i.c.provider, _i.c.subject)
    if account is not None:
        statement = statement.where(_a.c.name == account)
    return [_identity_of(row) for row in connection.execute(statement)]


def add_identity(
    transaction: Transaction, key: tuple[str, str], account: str, profile: Mapping[str, str]
) -> bool:
    """Insert one by provider and subject; False where it is somebody's already."""
    number = select(_a.c.id).where(_a.c.name == account).scalar_subquery()
    values = {
        "provider": key[0],
        "subject": key[1],
        "account_id": number,
        "profile": json.dumps(dict(profile)),
        "created_at": now(),
        "last_at": now(),
    }
    return transaction.insert_missing(_i, values)


def use_identity(
    transaction: Transaction, provider: str, subject: str, profile: Mapping[str, str]
) -> None:
    """Note the last use, and what was said of it."""
    change = {"last_at": now(), "profile": json.dumps(dict(profile))}
    transaction.execute(update(_i).where(_mine(provider, subject)).values(**change))


def remove_identity(transaction: Transaction, provider: str, subject: str) -> bool:
    """Delete one; False where there is none."""
    return transaction.execute(delete(_i).where(_mine(provider, subject))).rowcount == 1


def spend(transaction: Transaction, purpose: str, value: str, lifetime: int) -> bool:
    """Use a value up, for so many microseconds at least; False where that was done before."""
    transaction.execute(delete(_s).where(_s.c.until < now()))
    values = {"purpose": purpose, "value": value, "until": now() + lifetime}
    return transaction.insert_missing(_s, values)


def is_spent(connection: Connection, purpose: str, value: str) -> bool:
    """Whether a value was used up."""
    mine = (_s.c.purpose == purpose) & (_s.c.value == value)
    return connection.execute(select(_s.c.until).where(mine)).first() is not None
