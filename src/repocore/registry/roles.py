"""The room of roles: ``session.roles``."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any

from repocore.catalog import Transaction, roles
from repocore.catalog.rows import binding_fields
from repocore.errors import AccessDeniedError, ConflictError, MissingError, RejectedError
from repocore.model import (
    ROLES,
    AccountChanged,
    Action,
    Binding,
    RepositoryChanged,
    Resource,
    Role,
)
from repocore.model.decisions import check_grain
from repocore.registry.context import Context

__all__ = ["Roles", "grant_event"]


class Roles:
    """Roles, and who holds them where; every change is effective with the next request.

    Roles are made by ADMIN of the site.  They are given by whoever may MANAGE all that the pattern
    means, and nobody gives more than they may do there themselves.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def list(self) -> builtins.list[Role]:
        """Every role: those that are always there, then those of this installation, by name."""
        self._context.enter()
        own = {name: role for name, role in self._known().items() if name not in ROLES}
        return [*ROLES.values(), *(own[name] for name in sorted(own))]

    def _known(self) -> Mapping[str, Role]:
        return self._context.services.book.known.roles

    def add(self, role: Role) -> Role:
        """Make a role, or change what one means for all who hold it; requires ADMIN.

        Raises `RejectedError` for one that is always there or stands in the settings.
        """
        self._context.require(Action.ADMIN, Resource())
        self._refuse_fixed(role.name)
        before = self._known().get(role.name)
        event = AccountChanged(account=role.name, change="role defined", by=self._context.by)

        def work(transaction: Transaction) -> None:
            roles.put_role(transaction, role)
            transaction.emit(event, before=_fields(before), after=_fields(role))

        self._context.write(work)
        return role

    def remove(self, name: str) -> None:
        """Delete a role that nobody holds; requires ADMIN.

        Raises `MissingError`, `ConflictError` where somebody holds it, and `RejectedError` as
        `add` does.
        """
        self._context.require(Action.ADMIN, Resource())
        self._refuse_fixed(name)

        def work(transaction: Transaction) -> None:
            held = roles.holders(transaction.connection, name)
            if held:
                message = (
                    f"{held[0].subject} holds the role {name} on {held[0].pattern}; "
                    "take it back first, from all who hold it."
                )
                raise ConflictError(message)
            if not roles.remove_role(transaction, name):
                message = f"There is no role {name}."
                raise MissingError(message)
            event = AccountChanged(account=name, change="role removed", by=self._context.by)
            transaction.emit(event, before=_fields(self._known().get(name)))

        self._context.write(work)

    def _refuse_fixed(self, name: str) -> None:
        if name in ROLES:
            message = f"The role {name} is always there as it is; make one of another name."
            raise RejectedError(message)
        if name in self._context.services.book.declared_roles:
            message = f"The role {name} stands in the settings; change it there."
            raise RejectedError(message)

    def bindings(self) -> builtins.list[Binding]:
        """Who holds which role where: those of the settings, then the stored ones.

        Those that one may manage; all of them for ADMIN of the site.
        """
        self._context.enter()
        found = self._context.services.book.known.bindings
        return [binding for binding in found if self._may_manage(binding.pattern)]

    def bind(self, binding: Binding) -> Binding:
        """Give a role; idempotent.  Returns the stored binding, with its number.

        Raises `RejectedError` where there is no such role, and where it is finer than its format
        can tell apart; `NotAuthenticatedError` and `AccessDeniedError`.
        """
        self._context.enter()
        rule = binding.rule(self._known())
        check_grain(rule, self._context.services.formats)
        self._require(binding, rule.actions)
        return self._write(
            binding, f"holds {binding.role}", lambda t: roles.add_binding(t, binding)
        )

    def unbind(self, number: int) -> Binding:
        """Take a role back, by the binding's number.  Raises `MissingError`, and as `bind`."""
        self._context.enter()
        with self._context.services.catalog.snapshot() as connection:
            found = roles.find_binding(connection, number)
        if found is None or not self._may_manage(found.pattern):
            self._context.require(Action.ADMIN, Resource())
            message = "There is no stored binding of that number; those of the settings have none."
            raise MissingError(message)
        role = self._known().get(found.role)
        self._require(found, frozenset() if role is None else role.actions)

        def work(transaction: Transaction) -> Binding:
            if not roles.remove_binding(transaction, number):
                message = "There is no stored binding of that number."
                raise MissingError(message)
            return found

        return self._write(found, f"holds {found.role} no more", work, gone=True)

    def _write(
        self,
        binding: Binding,
        change: str,
        work: Callable[[Transaction], Binding],
        *,
        gone: bool = False,
    ) -> Binding:
        where = f"{change} on {binding.pattern}"
        event = grant_event(binding.subject, binding.pattern, where, self._context.by)

        fields = binding_fields(binding)
        said = {"before": fields} if gone else {"after": fields}

        def all_of_it(transaction: Transaction) -> Binding:
            there = roles.find_same(transaction.connection, binding)
            if there is not None and not gone:
                return there
            done = work(transaction)
            transaction.emit(event, **said)
            return done

        return self._context.write(all_of_it)

    def _may_manage(self, pattern: str) -> bool:
        resource = _resource(pattern)
        if resource is not None and self._context.allowed(Action.MANAGE, resource):
            return True
        return self._context.allowed(Action.ADMIN, Resource())

    def _require(self, binding: Binding, actions: frozenset[Action]) -> None:
        """MANAGE where the binding holds, and each action that it gives; or ADMIN of the site."""
        context = self._context
        resource = _resource(binding.pattern)
        if resource is None or context.allowed(Action.ADMIN, Resource()):
            context.require(Action.ADMIN, Resource())
            return
        context.require(Action.MANAGE, resource)
        more = sorted(a.value for a in actions if not context.allowed(a, resource))
        if more:
            message = (
                f"Permission denied: you may not {', '.join(more)} {resource}, so you cannot let "
                "somebody else."
            )
            raise AccessDeniedError(message)


def grant_event(
    subject: str, pattern: str, change: str, by: str
) -> AccountChanged | RepositoryChanged:
    """What tells of a rule or a role: of the repository, where it is of one, else of whom it is."""
    found = _resource(pattern)
    if found is None:
        return AccountChanged(account=subject, change=change, by=by)
    address = f"{found.format}/{found.repository}"
    return RepositoryChanged(repository=address, change=f"{subject} {change}", by=by)


def _fields(role: Role | None) -> dict[str, Any] | None:
    if role is None:
        return None
    return {
        "actions": sorted(action.value for action in role.actions),
        "description": role.description,
    }


def _resource(pattern: str) -> Resource | None:
    """The one resource that a pattern means, with all below it; None where it means several."""
    head, at, tail = pattern.partition("@")
    fields = head.removesuffix("/**").split("/")
    fields[-1] += at + tail
    if len(fields) < 2 or any(mark in field for field in fields for mark in "*?"):  # noqa: PLR2004 - format and name
        return None
    return Resource(*fields)
