"""One principal at the registry's door: authorization, and the only way to the rows behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from repocore.catalog import Transaction
from repocore.catalog.hot import Answer
from repocore.catalog.rows import StoredRepository
from repocore.errors import AccessDeniedError, NotAuthenticatedError, RepositoryMissingError
from repocore.model import (
    Action,
    Origin,
    Principal,
    Repository,
    Resource,
    Survey,
    split_address,
)
from repocore.model.decisions import scope_allows, scope_survey
from repocore.registry.services import Services

__all__ = ["Context"]

T = TypeVar("T")

#: How often a read is asked again because access changed under it.
_TRIES: Final = 10


class Context:
    """What the rooms of one session share."""

    def __init__(
        self,
        services: Services,
        principal: Principal,
        again: Callable[[], Principal] | None = None,
        source: str = "",
    ) -> None:
        self.services = services
        #: The session, for hooks; this floor knows no type for what stands above it.
        self.session: Any = None
        self._principal = principal
        #: Authenticates once more, where the principal came from credentials.
        self._again = again
        #: The client's address.
        self._source = source
        self._version = services.book.known.version

    @property
    def principal(self) -> Principal:
        """Who is asking, as of now: a revoked credential raises `NotAuthenticatedError`."""
        self.enter()
        return self._principal

    @property
    def by(self) -> str:
        """The name for records."""
        return self._principal.name or "anonymous"

    @property
    def origin(self) -> Origin:
        """Where changes come from, for records."""
        principal = self._principal
        return Origin(
            who=self.by, via=principal.via, token_id=principal.token_id, source=self._source
        )

    def write(self, work: Callable[[Transaction], T], *, own: bool = False) -> T:
        """Run the work in a transaction of the catalog, and have listeners told of its events.

        Raises `ReadOnlyError` where nothing is to change; what is its ``own`` a replica changes.
        """
        services = self.services
        (services.require_own_writes if own else services.require_writable)()
        done = self.services.catalog.write(work, self.origin)
        self.services.wake()
        return done

    def enter(self) -> bool:
        """Catch up with changes of access; says whether there were any."""
        return not self.settled(self.services.catalog.hot.version())

    def settled(self, version: int) -> bool:
        """Whether everything decided so far was decided at this version; catches up if not."""
        self.services.book.at(version)
        if version == self._version:
            return True
        if self._again is not None:
            self._principal = self._again()
        self._version = version
        return False

    def allowed(self, action: Action, resource: Resource) -> bool:
        """What the authorizers and the token's scope say, as of the last `enter`."""
        principal = self._principal
        if principal.trusted:
            return True
        services = self.services

        def ask() -> bool:
            answer = services.hooks.repocore_authorize(
                registry=services.registry, principal=principal, action=action, resource=resource
            )
            return answer is True and scope_allows(principal.scope, action, resource)

        return services.book.decide(principal, action, resource, ask)

    def require(self, action: Action, resource: Resource) -> None:
        """Return if it is allowed; raise `NotAuthenticatedError` or `AccessDeniedError`."""
        if self.allowed(action, resource):
            return
        if self._principal.anonymous:
            raise NotAuthenticatedError
        if action is Action.READ or not self.allowed(Action.READ, resource):
            raise AccessDeniedError(hidden=True)
        raise AccessDeniedError(self._refusal(action, resource))

    def administer(self) -> Services:
        """What the registry consists of, for ADMIN of the site; raises as `require` does."""
        self.enter()
        self.require(Action.ADMIN, Resource())
        return self.services

    def _refusal(self, action: Action, resource: Resource) -> str:
        """Why one who may read may no more than that, and what would help."""
        if not scope_allows(self._principal.scope, action, resource):
            return (
                f"Permission denied: this token may not {action.value} {resource}, whatever its "
                "account may. Use one whose scope has that."
            )
        return (
            f"Permission denied: you may not {action.value} {resource}. Whoever manages it can "
            "give you a role that may."
        )

    def survey(self, action: Action, repository: Repository) -> Survey:
        """What may be done with all of a repository, as of the last `enter`."""
        principal = self._principal
        if principal.trusted:
            return Survey.ALL
        services = self.services
        if not services.registry.surveyed:
            return Survey.MIXED
        answer = services.hooks.repocore_survey(
            registry=services.registry, principal=principal, action=action, repository=repository
        )
        scope = scope_survey(principal.scope, action, repository)
        both = {answer or Survey.NONE, scope}
        if Survey.NONE in both:
            return Survey.NONE
        return Survey.MIXED if Survey.MIXED in both else Survey.ALL

    def find(
        self,
        address: str,
        action: Action,
        scope: tuple[str | None, str | None] = (None, None),
    ) -> StoredRepository:
        """A repository in which the action is allowed on (package, version).

        Permission goes before existence: who may not, learns nothing.
        """
        self.enter()
        self.require(action, Resource(*split_address(address), *scope))
        found = self.services.book.known.repositories.get(address)
        if found is None:
            message = f"There is no repository {address}."
            raise RepositoryMissingError(message)
        return found

    def read(
        self,
        address: str,
        scope: tuple[str | None, str | None],
        query: Callable[[int], Answer],
    ) -> tuple[StoredRepository, Any]:
        """Ask a hot statement about (package, version) of a repository, if that may be read.

        The decision and the rows belong together: if access changed between them, both are made
        again.
        """
        resource = Resource(*split_address(address), *scope)
        for _ in range(_TRIES):
            stored = self.services.book.known.repositories.get(address)
            if stored is None or not self.allowed(Action.READ, resource):
                if self.enter():
                    continue
                stored = self.find(address, Action.READ, scope)
            version, rows = query(stored.id)
            if self.settled(version):
                return stored, rows
        stored = self.find(address, Action.READ, scope)
        return stored, query(stored.id)[1]
