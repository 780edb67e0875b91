"""Queries on accounts, groups, tokens, rules and keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.rows import account_of, key_of, rule_of, token_of
from repocore.catalog.transactions import Transaction
from repocore.model import Account, Rule, SigningKey, Token

__all__ = [
    "access_state",
    "add_account",
    "add_key",
    "add_member",
    "add_rule",
    "add_token",
    "change_account",
    "find_account",
    "find_token",
    "foreign_prefix",
    "forget_tokens",
    "groups",
    "keys",
    "list_accounts",
    "list_tokens",
    "lock_keys",
    "password_hash",
    "remove_account",
    "remove_member",
    "remove_rule",
    "remove_token",
    "revoke_token",
    "rules",
    "rules_of",
    "those",
    "use_token",
]

_a = tables.accounts
_g = tables.groups
_t = tables.tokens
_r = tables.rules
_k = tables.keys


def find_account(connection: Connection, name: str) -> Account | None:
    """One account with its groups."""
    row = connection.execute(select(_a).where(_a.c.name == name)).first()
    if row is None:
        return None
    names = connection.execute(select(_g.c.name).where(_g.c.account_id == row.id)).scalars()
    return account_of(row, names)


def list_accounts(connection: Connection) -> list[Account]:
    """All accounts, by name."""
    members: defaultdict[int, list[str]] = defaultdict(list)
    for row in connection.execute(select(_g)):
        members[row.account_id].append(row.name)
    rows = connection.execute(select(_a).order_by(_a.c.name))
    return [account_of(row, members[row.id]) for row in rows]


def those(connection: Connection, names: Iterable[str]) -> set[str]:
    """Which of the names are accounts."""
    return {*connection.scalars(select(_a.c.name).where(_a.c.name.in_(sorted({*names}))))}


def password_hash(connection: Connection, name: str) -> str | None:
    """The hash of an account's password; None without account or password."""
    return connection.scalar(select(_a.c.password_hash).where(_a.c.name == name))


def add_account(
    transaction: Transaction,
    name: str,
    password_hash: str | None,
    email: str,
    *,
    service: bool = False,
) -> bool:
    """Insert one; False where the name is taken."""
    values = {
        "name": name,
        "password_hash": password_hash,
        "email": email,
        "disabled": False,
        "service": service,
        "created_at": now(),
    }
    added = transaction.insert_missing(_a, values)
    if added:
        transaction.bump_access()
    return added


def change_account(transaction: Transaction, name: str, values: Mapping[str, Any]) -> bool:
    """Write some columns; False where there is no such account."""
    changed = transaction.execute(update(_a).where(_a.c.name == name).values(**values)).rowcount
    transaction.bump_access()
    return changed == 1


def remove_account(transaction: Transaction, name: str) -> bool:
    """Delete an account with its tokens and memberships; False where there is none."""
    removed = transaction.execute(delete(_a).where(_a.c.name == name)).rowcount
    # Whoever gets the name next starts without the grants of the one before.
    for table in (_r, tables.bindings):
        transaction.execute(delete(table).where(table.c.subject == f"user:{name}"))
    transaction.bump_access(rules=True)
    return removed == 1


def _number(name: str) -> Any:
    return select(_a.c.id).where(_a.c.name == name).scalar_subquery()


def groups(connection: Connection) -> dict[str, frozenset[str]]:
    """The members of each group, by name."""
    members: defaultdict[str, set[str]] = defaultdict(set)
    statement = select(_g.c.name, _a.c.name).join(_a, _a.c.id == _g.c.account_id)
    for group, account in connection.execute(statement):
        members[group].add(account)
    return {group: frozenset(names) for group, names in sorted(members.items())}


def add_member(transaction: Transaction, group: str, name: str) -> None:
    """Put an account into a group; nothing happens where it is in already."""
    transaction.insert_missing(_g, {"name": group, "account_id": _number(name)})
    transaction.bump_access()


def remove_member(transaction: Transaction, group: str, name: str) -> bool:
    """Take an account out of a group; False where it was not in."""
    mine = (_g.c.name == group) & (_g.c.account_id == _number(name))
    removed = transaction.execute(delete(_g).where(mine)).rowcount
    transaction.bump_access()
    return removed == 1


_tokens = select(_t, _a.c.name.label("account")).join(_a, _a.c.id == _t.c.account_id)


def add_token(transaction: Transaction, account: str, values: Mapping[str, Any]) -> Token:
    """Insert a token of an account."""
    lifetime = values.get("lifetime")
    columns = {key: value for key, value in values.items() if key != "lifetime"}
    columns |= {"account_id": _number(account), "created_at": now()}
    if lifetime is not None:
        columns["expires_at"] = now() + lifetime
    transaction.execute(_t.insert().values(**columns))
    row = transaction.execute(_tokens.where(_t.c.prefix == columns["prefix"])).one()
    return token_of(row)


def find_token(
    connection: Connection,
    *,
    number: int | None = None,
    prefix: str | None = None,
    secret_hash: str | None = None,
) -> tuple[Token, str, bool, bool] | None:
    """A token, its hash, whether it is live, and whether its account is.

    By its number, or by the prefix of its secret and the secret's hash, of which the latter finds
    those whose secret was made elsewhere.
    """
    live = _t.c.revoked_at.is_(None) & or_(_t.c.expires_at.is_(None), _t.c.expires_at > now())
    if secret_hash is None:
        mine = _t.c.id == number
    else:
        mine = _t.c.prefix.in_([foreign_prefix(secret_hash), prefix])
    # A prefix of ours begins with a letter or a digit: what was made elsewhere comes first.
    statement = _tokens.add_columns(live.label("live"), _a.c.disabled).where(mine)
    statement = statement.order_by(_t.c.prefix)
    row = connection.execute(statement).first()
    return None if row is None else (token_of(row), row.secret_hash, row.live, not row.disabled)


def foreign_prefix(secret_hash: str) -> str:
    """By what a token is found whose secret was made elsewhere; no prefix of ours begins so."""
    return f"={secret_hash}"


def list_tokens(connection: Connection, account: str | None) -> list[Token]:
    """The tokens of one account, or of all."""
    statement = _tokens.order_by(_t.c.id)
    if account is not None:
        statement = statement.where(_a.c.name == account)
    return [token_of(row) for row in connection.execute(statement)]


def revoke_token(transaction: Transaction, number: int) -> None:
    """Revoke a token; the first time counts."""
    revoked = func.coalesce(_t.c.revoked_at, now())
    transaction.execute(update(_t).where(_t.c.id == number).values(revoked_at=revoked))
    transaction.bump_access()


def remove_token(transaction: Transaction, number: int) -> None:
    """Delete a token, as if it had never been."""
    transaction.execute(delete(_t).where(_t.c.id == number))
    transaction.bump_access()


def forget_tokens(transaction: Transaction, older: int) -> int:
    """Delete tokens that ended more than so many microseconds ago; how many.

    The records of changes still tell of them.
    """
    ended = func.coalesce(_t.c.revoked_at, _t.c.expires_at)
    return transaction.execute(delete(_t).where(ended < now() - older)).rowcount


def use_token(transaction: Transaction, number: int) -> None:
    """Note the last use."""
    transaction.execute(update(_t).where(_t.c.id == number).values(last_used_at=now()))


def rules(connection: Connection, known: dict[tuple[Any, ...], Rule] | None = None) -> list[Rule]:
    """The stored rules, by position.

    ``known`` are rules by their rows, from an earlier call: of many that have not changed none is
    made again.  It is brought up to date.
    """
    rows = connection.execute(select(_r).order_by(_r.c.position, _r.c.id)).all()
    before = known or {}
    made: dict[tuple[Any, ...], Rule] = {}
    for row in rows:
        key = tuple(row)
        made[key] = before.get(key) or rule_of(row)
    if known is not None:
        known.clear()
        known.update(made)
    return list(made.values())


def rules_of(connection: Connection, account: str) -> list[Rule]:
    """The stored rules that name one account, by position."""
    statement = select(_r).where(_r.c.subject == f"user:{account}")
    return [rule_of(row) for row in connection.execute(statement.order_by(_r.c.position, _r.c.id))]


def add_rule(transaction: Transaction, rule: Rule, position: int | None) -> Rule:
    """Insert a rule behind all others, or at a position (the first is 0)."""
    last = transaction.connection.scalar(select(func.max(_r.c.position)))
    place = (-1 if last is None else last) + 1
    if position is not None:
        place = position
        later = _r.c.position >= position
        transaction.execute(update(_r).where(later).values(position=_r.c.position + 1))
    values = {
        "position": place,
        "tier": rule.tier.value,
        "subject": rule.subject,
        "actions": ",".join(sorted(action.value for action in rule.actions)),
        "pattern": rule.pattern,
        "effect": rule.effect.value,
    }
    row = transaction.execute(_r.insert().values(**values).returning(_r)).one()
    transaction.bump_access(rules=True)
    return rule_of(row)


def remove_rule(transaction: Transaction, number: int) -> Rule | None:
    """Delete a rule and return it; None where there is none of that number."""
    row = transaction.execute(delete(_r).where(_r.c.id == number).returning(_r)).first()
    transaction.bump_access(rules=True)
    return None if row is None else rule_of(row)


def keys(connection: Connection, purpose: str) -> list[SigningKey]:
    """The keys of a purpose, newest first."""
    statement = select(_k).where(_k.c.purpose == purpose).order_by(_k.c.id.desc())
    return [key_of(row) for row in connection.execute(statement)]


def access_state(connection: Connection) -> tuple[int, int, int]:
    """The access version, that of the rules, and that of the repositories."""
    access = tables.access.c
    statement = select(access.version, access.rules, access.repositories)
    version, rules, repositories = connection.execute(statement).one()
    return version, rules, repositories


def lock_keys(transaction: Transaction) -> None:
    """Let no other transaction add a key before this one ends."""
    version = tables.access.c.version
    transaction.execute(update(tables.access).values(version=version))


def add_key(transaction: Transaction, purpose: str, secret: bytes, *, revoke: bool) -> None:
    """Insert a key; the ones before it retire, or are gone."""
    if revoke:
        transaction.execute(delete(_k).where(_k.c.purpose == purpose))
    mine = (_k.c.purpose == purpose) & _k.c.retired_at.is_(None)
    transaction.execute(update(_k).where(mine).values(retired_at=now()))
    transaction.execute(_k.insert().values(purpose=purpose, secret=secret, created_at=now()))
    transaction.bump_access()
