"""Changes of accounts, and what the audit trail has of them: the fields that were, and that are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from repocore.catalog import Transaction, accounts, roles
from repocore.catalog.rows import binding_fields, rule_fields
from repocore.model import AccountChanged

__all__ = ["change_account"]

Fields = dict[str, Any]


def change_account(
    transaction: Transaction,
    event: AccountChanged,
    work: Callable[[Transaction], bool],
    *,
    unseen: bool = False,
) -> bool:
    """Do the work and record what it changed of the account; what changed nothing has no record.

    An ``unseen`` change is of what no record shows, as a password: it always has one.  Returns
    what the work returns: False where it found nothing to work on, which has none either.
    """
    before = None if unseen else _fields(transaction, event.account)
    if not work(transaction):
        return False
    after = None if unseen else _fields(transaction, event.account)
    if before is None or after is None:
        transaction.emit(event, before=before, after=after)
        return True
    changed = [key for key in after if after[key] != before[key]]
    if changed:
        was, now = ({key: each[key] for key in changed} for each in (before, after))
        transaction.emit(event, before=was, after=now)
    return True


def _fields(transaction: Transaction, name: str) -> Fields | None:
    """What is recorded of an account: nothing of its password."""
    connection = transaction.connection
    account = accounts.find_account(connection, name)
    if account is None:
        return None
    return {
        "email": account.email,
        "service": account.service,
        "disabled": account.disabled,
        "groups": sorted(account.groups),
        "rules": [rule_fields(rule) for rule in accounts.rules_of(connection, name)],
        "roles": [binding_fields(one) for one in roles.bindings_of(connection, name)],
    }
