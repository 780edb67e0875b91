"""The room of repositories: ``session.repositories``."""

from __future__ import annotations

import bisect
import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from repocore.catalog import Transaction, documents, repositories, roles
from repocore.errors import (
    AlreadyExistsError,
    NotAuthenticatedError,
    PluginError,
    PreconditionFailedError,
    RejectedError,
    RepositoryMissingError,
)
from repocore.model import (
    Action,
    Binding,
    Policy,
    Repository,
    RepositoryChanged,
    Resource,
    Survey,
    split_address,
)
from repocore.ports import ConfigurableFormat
from repocore.registry.context import Context

__all__ = ["Repositories"]


class Repositories:
    """Create, configure, list and delete repositories; each is addressed ``format/name``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(
        self,
        address: str,
        *,
        description: str = "",
        private: bool = False,
        policy: Policy | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Repository:
        """Make an empty one; requires CREATE or ADMIN of its address.

        Whoever may not administer it holds the role ``owner`` on it from then on.  ``options`` are
        what its format makes of them.  Raises `AlreadyExistsError`, `InvalidPathError` for a bad
        address, and `PluginError` where no plugin brings the format.
        """
        context = self._context
        kind, name = split_address(address)
        context.enter()
        owner = self._owner_to_be(Resource(kind, name))
        if kind not in context.services.formats:
            known = ", ".join(sorted(context.services.formats))
            message = f"No plugin brings the format {kind}; there is {known or 'none'}."
            raise PluginError(message)
        repository = Repository(
            format=kind,
            name=name,
            policy=policy or Policy(),
            description=description,
            private=private,
            options=self._options(kind, options),
        )
        event = RepositoryChanged(repository=address, change="created", by=context.by)

        def work(transaction: Transaction) -> None:
            if not repositories.add(transaction, repository):
                message = f"There is a repository {address} already."
                raise AlreadyExistsError(message)
            fields = _fields(repository)
            if owner is not None:
                fields["owner"] = roles.add_binding(transaction, owner).subject
            transaction.emit(event, after=fields)

        context.write(work)
        return self.get(address)

    def _owner_to_be(self, resource: Resource) -> Binding | None:
        """What the creator of a repository gets; None where nothing is lacking.

        Raises `NotAuthenticatedError` and `AccessDeniedError`.
        """
        context = self._context
        if context.allowed(Action.ADMIN, resource):
            return None
        context.require(Action.CREATE, resource)
        if context.principal.anonymous:
            raise NotAuthenticatedError
        return Binding(
            subject=f"user:{context.principal.name}", role="owner", pattern=str(resource)
        )

    def configure(
        self,
        address: str,
        *,
        description: str | None = None,
        private: bool | None = None,
        policy: Policy | None = None,
        options: Mapping[str, Any] | None = None,
        expected: Repository | None = None,
    ) -> Repository:
        """Change what is given, keep the rest; MANAGE.  Raises `RepositoryMissingError`.

        Other options than before have all documents made anew.  With ``expected``, nothing is
        changed once it is another than that, and `PreconditionFailedError` is raised.
        """
        context = self._context
        stored = context.find(address, Action.MANAGE)
        given: dict[str, Any] = {"description": description, "private": private, "policy": policy}
        if options is not None:
            given["options"] = self._options(stored.value.format, options)
        changes = {name: value for name, value in given.items() if value is not None}
        event = RepositoryChanged(repository=address, change="configured", by=context.by)

        def work(transaction: Transaction) -> Repository:
            before = repositories.hold(transaction, stored.id)
            if before is None:
                raise RepositoryMissingError
            if expected is not None and before != expected:
                raise PreconditionFailedError
            changed = attrs.evolve(before, **changes)
            repositories.replace(transaction, stored.id, changed)
            if changed.options != before.options:
                documents.renew(transaction, stored.id)
            transaction.emit(event, before=_fields(before), after=_fields(changed))
            return changed

        return context.write(work)

    def _options(self, kind: str, options: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Options that the format accepts."""
        format_ = self._context.services.formats.get(kind)
        given = dict(options or {})
        if isinstance(format_, ConfigurableFormat):
            format_.check_options(given)
        elif given:
            message = f"Repositories of the format {kind} have no options."
            raise RejectedError(message)
        return given

    def get(self, address: str) -> Repository:
        """One repository; requires READ of something in it.  Raises `RepositoryMissingError`."""
        context = self._context
        context.enter()
        stored = context.services.book.known.repositories.get(address)
        if stored is not None and self._sees(stored.value):
            return stored.value
        return context.find(address, Action.READ).value

    def list(self) -> list[Repository]:
        """Those of which the principal may read something, by address."""
        return self._values(self._readable())

    def page(self, *, after: str = "", limit: int = 100) -> builtins.list[Repository]:
        """As `list`, those behind an address; up to so many."""
        readable = self._readable()
        start = bisect.bisect_right(readable, after)
        return self._values(readable[start : start + limit])

    def _readable(self) -> tuple[str, ...]:
        context = self._context
        context.enter()
        known = context.services.book.known.repositories
        return context.services.book.readable(
            context.principal,
            lambda: tuple(name for name, one in sorted(known.items()) if self._sees(one.value)),
        )

    def _values(self, addresses: Sequence[str]) -> builtins.list[Repository]:
        known = self._context.services.book.known.repositories
        return [known[address].value for address in addresses if address in known]

    def _sees(self, repository: Repository) -> bool:
        context = self._context
        if context.survey(Action.READ, repository) is not Survey.NONE:
            return True
        if context.services.registry.surveyed:
            return False
        return context.allowed(Action.READ, Resource(repository.format, repository.name))

    def delete(self, address: str) -> None:
        """Delete a repository with all it holds, and the rules and bindings that name it; ADMIN.

        Raises `RepositoryMissingError`.
        """
        context = self._context
        stored = context.find(address, Action.ADMIN)
        event = RepositoryChanged(repository=address, change="deleted", by=context.by)

        def work(transaction: Transaction) -> None:
            repositories.forget(transaction, stored.id)
            taken = repositories.forget_grants(transaction, address)
            transaction.emit(event, before={**_fields(stored.value), **taken})

        context.write(work)


def _fields(repository: Repository) -> dict[str, Any]:
    """What somebody may have changed, for records."""
    return {
        "description": repository.description,
        "private": repository.private,
        "policy": attrs.asdict(repository.policy),
        "options": dict(repository.options),
    }
