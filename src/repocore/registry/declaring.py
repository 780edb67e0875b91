"""What the settings say of access: rules, roles and bindings as they stand there, and accounts
that are made where they are not there yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from repocore.catalog import Transaction, accounts
from repocore.catalog.rows import rules_text, token_fields
from repocore.config import AccountSettings, Settings, TokenSettings, scope_rule
from repocore.errors import ConfigurationError
from repocore.model import ROLES, AccountChanged, Binding, Role, Rule
from repocore.model.decisions import check_grain
from repocore.ports import Format
from repocore.registry.access import Declared
from repocore.registry.account_changes import change_account
from repocore.registry.passwords import hash_token
from repocore.registry.services import Services

__all__ = ["declared_access", "make_accounts"]


def declared_access(settings: Settings, formats: Mapping[str, Format]) -> Declared:
    """The rules, roles and bindings of the settings.

    Raises `ConfigurationError` with every binding of a role that is not there.
    """
    own = [
        Role(name=role.name, actions=frozenset(role.actions), description=role.description)
        for role in settings.role
    ]
    roles = {role.name: role for role in own}
    known = {**ROLES, **roles}
    problems = tuple(
        f"binding[{place}].role: there is no role {binding.role}; there are "
        f"{', '.join(sorted(known))}, and those of `repocore role` cannot be bound here"
        for place, binding in enumerate(settings.binding)
        if binding.role not in known
    )
    if problems:
        raise ConfigurationError(problems=problems)
    bindings = tuple(
        Binding(subject=one.subject, role=one.role, pattern=one.pattern) for one in settings.binding
    )
    for binding in bindings:
        check_grain(binding.rule(known), formats)
    rules = tuple(
        Rule(
            subject=rule.subject,
            actions=frozenset(rule.actions),
            pattern=rule.pattern,
            effect=rule.effect,
        )
        for rule in settings.rule
    )
    return Declared(rules=rules, roles=roles, bindings=bindings)


def make_accounts(services: Services, wanted: tuple[AccountSettings, ...]) -> None:
    """Make what is not there yet: accounts, memberships and tokens.  Idempotent.

    A token whose secret changed replaces the one of its name; one that is declared no more stays
    until somebody revokes it.
    """
    if wanted:
        services.catalog.write(lambda t: _make(t, wanted))


def _make(transaction: Transaction, wanted: tuple[AccountSettings, ...]) -> None:
    for account in wanted:
        found = accounts.find_account(transaction.connection, account.name)
        if found is None:
            change_account(transaction, _event(account.name, "added"), partial(_add, one=account))
        for group in () if found is None else {*account.groups} - {*found.groups}:
            event = _event(account.name, f"joined {group}")
            change_account(transaction, event, partial(_join, group=group, name=account.name))
        for token in account.token:
            _make_token(transaction, account.name, token)


def _add(transaction: Transaction, one: AccountSettings) -> bool:
    added = accounts.add_account(transaction, one.name, None, one.email, service=one.service)
    return added and all(_join(transaction, group, one.name) for group in one.groups)


def _join(transaction: Transaction, group: str, name: str) -> bool:
    accounts.add_member(transaction, group, name)
    return True


def _make_token(transaction: Transaction, account: str, token: TokenSettings) -> None:
    hashed = hash_token(token.secret)
    rules = tuple(scope_rule(text) for text in token.allow) if token.allow else None
    there = accounts.find_token(transaction.connection, secret_hash=hashed)
    if there is not None and there[0].account != account:
        message = f"The token {token.name} of {account} is also one of {there[0].account}."
        raise ConfigurationError(message)
    # One that somebody has revoked stays revoked.
    if there is not None and (there[0].revoked_at or there[0].rules == rules):
        return
    for one in accounts.list_tokens(transaction.connection, account):
        if one.name == token.name and one.declared:
            accounts.remove_token(transaction, one.id)
            replaced = _event(account, f"token {one.name} of the settings replaced")
            transaction.emit(replaced, before=token_fields(one))
    values = {"name": token.name, "prefix": accounts.foreign_prefix(hashed), "secret_hash": hashed}
    made = accounts.add_token(transaction, account, {**values, "rules": rules_text(rules)})
    event = _event(account, f"token {token.name} of the settings made")
    transaction.emit(event, after=token_fields(made))


def _event(account: str, change: str) -> AccountChanged:
    return AccountChanged(account=account, change=change, by="system")
