"""The room of accounts: ``session.accounts``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from repocore.catalog import Transaction, accounts, attempts
from repocore.catalog.rows import rule_fields, token_fields
from repocore.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    MissingError,
    NotAuthenticatedError,
    RejectedError,
)
from repocore.model import (
    Account,
    AccountChanged,
    Action,
    Resource,
    Rule,
    SigningKey,
    Token,
    check_account_name,
)
from repocore.model.decisions import check_grain
from repocore.model.rule_index import in_order
from repocore.registry.account_changes import change_account
from repocore.registry.context import Context
from repocore.registry.passwords import (
    checked_password,
    hash_password,
    hash_token,
    same,
    split_token,
    verify_password,
)
from repocore.registry.roles import grant_event
from repocore.registry.throttling import counted_name
from repocore.registry.tokens import new_token

__all__ = ["Accounts"]

#: A token's last use is noted at most that often.
_NOTED = timedelta(minutes=5)
_NO_PASSWORD = "A service account has no password; create a token of it."  # noqa: S105 - nobody's


class Accounts:
    """Accounts, groups, tokens, rules and signing keys; for ADMIN of the site, where not said.

    Every change is effective with the next request, in every process.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def _require(self, owner: str | None = None) -> None:
        """ADMIN; or the owner, signed in with more than a token of narrow scope."""
        context = self._context
        principal = context.principal
        if owner is not None and principal.name == owner and principal.scope is None:
            return
        context.require(Action.ADMIN, Resource())

    def _trusted(self) -> None:
        if not self._context.principal.trusted:
            raise AccessDeniedError("Only the server itself may ask that.")

    def _write(
        self,
        account: str,
        change: str,
        work: Callable[[Transaction], bool],
        absent: str = "There is no account {}.",
        *,
        unseen: bool = False,
    ) -> None:
        """Run the work; False from it means that there is no such account."""
        event = AccountChanged(account=account, change=change, by=self._context.by)

        def all_of_it(transaction: Transaction) -> None:
            if not change_account(transaction, event, work, unseen=unseen):
                raise MissingError(absent.format(account))

        self._context.write(all_of_it)

    def add(
        self,
        name: str,
        password: str | None = None,
        *,
        groups: Iterable[str] = (),
        email: str = "",
        service: bool = False,
    ) -> Account:
        """Make an account; one without a password signs in by tokens or another authenticator.

        A ``service`` account is a machine's: it signs in by tokens only.  Raises
        `AlreadyExistsError`, and `RejectedError` for a name or password that cannot be.
        """
        self._require()
        if service and password is not None:
            raise RejectedError(_NO_PASSWORD)
        check_account_name(name)
        names = [check_account_name(group) for group in groups]
        hashed = None if password is None else hash_password(checked_password(password))

        def work(transaction: Transaction) -> bool:
            if not accounts.add_account(transaction, name, hashed, email, service=service):
                message = f"There is an account {name} already."
                raise AlreadyExistsError(message)
            for group in names:
                accounts.add_member(transaction, group, name)
            return True

        self._write(name, "added", work)
        return self.get(name)

    def get(self, name: str) -> Account:
        """One account; it may ask for itself.  Raises `MissingError`."""
        self._require(name)
        with self._context.services.catalog.snapshot() as connection:
            found = accounts.find_account(connection, name)
        if found is None:
            raise _missing(name)
        return found

    def list(self) -> list[Account]:
        """All accounts, by name."""
        self._require()
        with self._context.services.catalog.snapshot() as connection:
            return accounts.list_accounts(connection)

    def remove(self, name: str) -> None:
        """Delete an account, its tokens, memberships and rules.

        Raises `MissingError`, `RejectedError` for one of the settings, which would make it again,
        and `ConflictError` for one's own.
        """
        self._require()
        self._refuse_oneself(name)
        if any(account.name == name for account in self._context.services.settings.account):
            message = f"The account {name} stands in the settings; take it out there first."
            raise RejectedError(message)
        self._write(name, "removed", lambda t: accounts.remove_account(t, name))

    def disable(self, name: str, disabled: bool = True) -> None:  # noqa: FBT001, FBT002 - one verb both ways
        """Refuse whatever signs in as this account, or accept it again.  Raises `MissingError`."""
        self.configure(name, disabled=disabled)

    def configure(
        self, name: str, *, email: str | None = None, disabled: bool | None = None
    ) -> None:
        """Change what is given of an account, keep the rest.  Raises `MissingError`."""
        self._require()
        change = {k: v for k, v in (("email", email), ("disabled", disabled)) if v is not None}
        if not change:
            self.get(name)
            return
        if disabled:
            self._refuse_oneself(name)
        word = {True: "disabled", False: "enabled", None: "configured"}[disabled]
        self._write(name, word, lambda t: accounts.change_account(t, name, change))

    def _refuse_oneself(self, name: str) -> None:
        if name == self._context.principal.name:
            message = "You cannot do that to your own account; another administrator can."
            raise ConflictError(message)

    def unblock(self, name: str) -> None:
        """Forget what has failed to sign in as this account.  Raises `MissingError`."""
        self.get(name)
        self._require()
        counted = counted_name(name)

        def work(transaction: Transaction) -> bool:
            attempts.unblock(transaction, counted)
            return True

        self._write(name, "unblocked", work, unseen=True)

    def set_password(self, name: str, password: str) -> None:
        """Set a password; the account itself may, too.  Raises `MissingError`, `RejectedError`."""
        if self.get(name).service:
            raise RejectedError(_NO_PASSWORD)
        change = {"password_hash": hash_password(checked_password(password))}
        work = partial(accounts.change_account, name=name, values=change)
        self._write(name, "password", work, unseen=True)

    def verify(self, name: str, password: str) -> Account | None:
        """Who signs in with a password; None for an unknown name or one without a password.

        Raises `NotAuthenticatedError` for a wrong password or a disabled account.  An unknown
        name costs the same work as a known one.
        """
        self._trusted()
        with self._context.services.catalog.snapshot() as connection:
            hashed = accounts.password_hash(connection, name)
            account = accounts.find_account(connection, name)
        right = verify_password(hashed, password)
        if account is None or hashed is None:
            return None
        if not right or account.disabled:
            message = "Wrong user or password."
            raise NotAuthenticatedError(message)
        return account

    def groups(self) -> dict[str, frozenset[str]]:
        """The members of each group that has any."""
        self._require()
        with self._context.services.catalog.snapshot() as connection:
            return accounts.groups(connection)

    def add_to_group(self, group: str, name: str) -> None:
        """Put an account into a group, new or not.  Idempotent.  Raises `MissingError`."""
        self.get(name)
        check_account_name(group)

        def work(transaction: Transaction) -> bool:
            accounts.add_member(transaction, group, name)
            return True

        self._require()
        self._write(name, f"joined {group}", work)

    def remove_from_group(self, group: str, name: str) -> None:
        """Take an account out of a group.  Raises `MissingError` where it is not in."""
        self._require()
        absent = f"{{}} is not in a group {check_account_name(group)}."
        self._write(name, f"left {group}", lambda t: accounts.remove_member(t, group, name), absent)

    def create_token(
        self,
        account: str,
        name: str,
        *,
        rules: Sequence[Rule] | None = None,
        lifetime: timedelta | None = None,
        secret: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token of an account; the account itself may, too.

        Returns it and its secret, which is kept nowhere.  ``rules`` are allow rules that narrow
        it.  An administrator may give the ``secret`` that somebody has from another server.
        Raises `MissingError`, `RejectedError`, and `AlreadyExistsError` for a secret that is known.
        """
        self._require(account if secret is None else None)
        values, made = new_token(name, rules, lifetime, secret)
        event = AccountChanged(account=account, change="token created", by=self._context.by)

        def work(transaction: Transaction) -> Token:
            connection = transaction.connection
            if accounts.find_account(connection, account) is None:
                raise _missing(account)
            if accounts.find_token(connection, secret_hash=values["secret_hash"]) is not None:
                message = "There is a token with that secret already."
                raise AlreadyExistsError(message)
            token = accounts.add_token(transaction, account, values)
            transaction.emit(event, after=token_fields(token))
            return token

        return self._context.write(work), made

    def tokens(self, account: str | None = None) -> list[Token]:
        """The tokens of one account (which may ask itself), or of all."""
        self._require(account)
        with self._context.services.catalog.snapshot() as connection:
            return accounts.list_tokens(connection, account)

    def revoke_token(self, number: int) -> Token:
        """Revoke a token for good; its account may, too.  Idempotent.  Raises `MissingError`."""
        catalog = self._context.services.catalog
        with catalog.snapshot() as connection:
            found = accounts.find_token(connection, number=number)
        self._require(found[0].account if found else None)
        if found is None:
            message = "There is no token of that number."
            raise MissingError(message)
        token = found[0]
        event = AccountChanged(account=token.account, change="token revoked", by=self._context.by)

        def work(transaction: Transaction) -> None:
            if token.revoked_at is None:
                accounts.revoke_token(transaction, number)
                transaction.emit(event, before=token_fields(token))

        self._context.write(work)
        return token

    def find_token(self, secret: str) -> Token | None:
        """The live token of a secret; None where it is none of ours.  The server's question.

        A secret that was made elsewhere is known where the settings declare it.

        Raises `NotAuthenticatedError` for a revoked or expired one, or a disabled account.
        """
        self._trusted()
        prefix, hashed = split_token(secret), hash_token(secret)
        with self._context.services.catalog.snapshot() as connection:
            found = accounts.find_token(connection, prefix=prefix, secret_hash=hashed)
        if found is None and prefix is None:
            return None
        if found is None or not same(found[1], hashed):
            message = "The token is not valid."
            raise NotAuthenticatedError(message)
        return self._live(found)

    def get_token(self, number: int) -> Token | None:
        """A live token by its number, or None where it is gone; as `find_token`."""
        self._trusted()
        with self._context.services.catalog.snapshot() as connection:
            found = accounts.find_token(connection, number=number)
        return None if found is None else self._live(found)

    def _live(self, found: tuple[Token, str, bool, bool]) -> Token:
        token, _, live, enabled = found
        if not enabled:
            message = "The account of the token is disabled; an administrator can enable it."
            raise NotAuthenticatedError(message)
        if not live:
            message = "The token is revoked or has expired; make a new one."
            raise NotAuthenticatedError(message)
        # Noted now and then only: a read must not cost a write.
        if token.last_used_at is None or datetime.now(UTC) - token.last_used_at >= _NOTED:
            self._context.services.catalog.write(lambda t: accounts.use_token(t, token.id))
        return token

    def rules(self) -> tuple[Rule, ...]:
        """The stored rules, in the order in which they are asked."""
        self._require()
        with self._context.services.catalog.snapshot() as connection:
            return tuple(in_order(accounts.rules(connection)))

    def add_rule(self, rule: Rule, *, position: int | None = None) -> Rule:
        """Store a rule behind all others, or at a position of the stored ones (the first is 0).

        Raises `RejectedError` for one that is finer than its format can tell apart.
        """
        self._require()
        check_grain(rule, self._context.services.formats)
        event = grant_event(rule.subject, rule.pattern, "has a rule", self._context.by)

        def work(transaction: Transaction) -> Rule:
            stored = accounts.add_rule(transaction, rule, position)
            transaction.emit(event, after=rule_fields(stored))
            return stored

        return self._context.write(work)

    def remove_rule(self, number: int) -> None:
        """Delete a stored rule.  Raises `MissingError`."""
        self._require()

        def work(transaction: Transaction) -> None:
            rule = accounts.remove_rule(transaction, number)
            if rule is None:
                raise MissingError("There is no stored rule of that number.")
            by = self._context.by
            event = grant_event(rule.subject, rule.pattern, "has a rule no more", by)
            transaction.emit(event, before=rule_fields(rule))

        self._context.write(work)

    def signing_keys(self, purpose: str) -> tuple[SigningKey, ...]:
        """The keys of a purpose, newest first; makes the first one.  The server's question."""
        self._trusted()
        with self._context.services.catalog.snapshot() as connection:
            found = accounts.keys(connection, purpose)
        return tuple(found) if found else (self._new_key(purpose, first=True),)

    def rotate_signing_key(self, purpose: str, *, revoke: bool = False) -> SigningKey:
        """Make a key that signs from now on; older ones still verify what they signed, unless
        they are revoked, as those are that somebody else may know.
        """
        self._require()
        return self._new_key(purpose, first=False, revoke=revoke)

    def _new_key(self, purpose: str, *, first: bool, revoke: bool = False) -> SigningKey:
        secret = secrets.token_bytes(32)

        def work(transaction: Transaction) -> SigningKey:
            # Two processes that start at once must agree on one first key.
            accounts.lock_keys(transaction)
            if not (first and accounts.keys(transaction.connection, purpose)):
                accounts.add_key(transaction, purpose, secret, revoke=revoke)
                told = f"key for {purpose} made{', others revoked' if revoke else ''}"
                transaction.emit(AccountChanged(account="site", change=told, by=self._context.by))
            return accounts.keys(transaction.connection, purpose)[0]

        return self._context.write(work, own=True)


def _missing(name: str) -> MissingError:
    return MissingError(f"There is no account {name}.")
