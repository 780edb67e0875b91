"""The room of identities: ``session.identities``."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from functools import partial

from repocore.catalog import Transaction, accounts, identities
from repocore.errors import AccessDeniedError, AlreadyExistsError, MissingError, RejectedError
from repocore.model import AccountChanged, Action, Identity, Resource, check_account_name
from repocore.registry.account_changes import change_account
from repocore.registry.context import Context

__all__ = ["Identities"]

#: Longer names of people there are in no provider; indexes want a bound.
_LONGEST = 255


class Identities:
    """Which accounts elsewhere are which accounts here; for ADMIN of the site, where not said."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def _require(self, owner: str | None = None) -> None:
        principal = self._context.principal
        if owner is not None and principal.name == owner and principal.scope is None:
            return
        self._context.require(Action.ADMIN, Resource())

    def list(self, account: str | None = None) -> builtins.list[Identity]:
        """Those of an account (which may ask for itself), or all."""
        self._require(account)
        with self._context.services.catalog.snapshot() as connection:
            return identities.list_identities(connection, account)

    def find(self, provider: str, subject: str) -> Identity | None:
        """Whose an identity is; None where it is nobody's."""
        self._require()
        with self._context.services.catalog.snapshot() as connection:
            return identities.find_identity(connection, provider, subject)

    def link(
        self, provider: str, subject: str, account: str, profile: Mapping[str, str] | None = None
    ) -> Identity:
        """Let whoever has proved to be ``subject`` there be an account here.

        Idempotent.  Raises `MissingError` without such an account, `AlreadyExistsError` where the
        identity is another account's, and `RejectedError` for one of a machine.
        """
        self._require()
        _check_subject(subject)
        event = AccountChanged(
            account=account, change=f"identity of {provider} linked", by=self._context.by
        )

        def work(transaction: Transaction) -> Identity:
            there = accounts.find_account(transaction.connection, account)
            if there is None:
                message = f"There is no account {account}."
                raise MissingError(message)
            if there.service:
                message = "A service account signs in by tokens only."
                raise RejectedError(message)
            key = (provider, subject)
            new = identities.add_identity(transaction, key, account, profile or {})
            found = identities.find_identity(transaction.connection, *key)
            if found is None or found.account != account:
                message = "That identity is another account's; unlink it there first."
                raise AlreadyExistsError(message)
            if new:
                transaction.emit(event, after={"provider": provider, "subject": subject})
            return found

        return self._context.write(work)

    def make(
        self, provider: str, subject: str, name: str, email: str, profile: Mapping[str, str]
    ) -> None:
        """Make an account for an identity that is nobody's, both or neither.

        Raises `AlreadyExistsError` where the name is taken, or the identity is somebody's by now,
        and `RejectedError` for a name or a subject that cannot be.
        """
        self._require()
        check_account_name(name)
        _check_subject(subject)
        by = self._context.by
        added = AccountChanged(account=name, change="added", by=by)
        linked = AccountChanged(account=name, change=f"identity of {provider} linked", by=by)

        add = partial(accounts.add_account, name=name, password_hash=None, email=email)

        def work(transaction: Transaction) -> None:
            key = (provider, subject)
            if not change_account(transaction, added, add):
                message = f"There is an account {name} already."
                raise AlreadyExistsError(message)
            if not identities.add_identity(transaction, key, name, profile):
                message = "That identity is an account's already."
                raise AlreadyExistsError(message)
            transaction.emit(linked, after={"provider": provider, "subject": subject})

        self._context.write(work)

    def unlink(self, provider: str, subject: str) -> Identity:
        """Forget an identity; its account may, too.  Raises `MissingError`."""
        found = self._find(provider, subject)
        self._require(found.account if found else None)
        if found is None:
            message = "Nobody has that identity."
            raise MissingError(message)
        event = AccountChanged(
            account=found.account, change=f"identity of {provider} unlinked", by=self._context.by
        )

        def work(transaction: Transaction) -> None:
            if identities.remove_identity(transaction, provider, subject):
                transaction.emit(event, before={"provider": provider, "subject": subject})

        self._context.write(work)
        return found

    def use(self, provider: str, subject: str, profile: Mapping[str, str]) -> None:
        """Note that an identity was used, and what its provider says of it.  The server's."""
        if not self._context.principal.trusted:
            message = "Only the server itself may do that."
            raise AccessDeniedError(message)
        # Nobody did it: it is no change of anything that counts, and so not recorded.
        catalog = self._context.services.catalog
        catalog.write(lambda t: identities.use_identity(t, provider, subject, profile))

    def _find(self, provider: str, subject: str) -> Identity | None:
        with self._context.services.catalog.snapshot() as connection:
            return identities.find_identity(connection, provider, subject)


def _check_subject(subject: str) -> None:
    if not subject or len(subject) > _LONGEST or not subject.isprintable():
        message = f"What a provider calls somebody has 1 to {_LONGEST} characters."
        raise RejectedError(message)
