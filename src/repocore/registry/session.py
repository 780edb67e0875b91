"""The registry, acting for one principal: the only door to data."""

from __future__ import annotations

from typing import Any

from repocore.model import Action, Origin, Principal, Resource
from repocore.registry.accounts import Accounts
from repocore.registry.attesting import Attestations
from repocore.registry.audit import Audit
from repocore.registry.auditing import Upkeep
from repocore.registry.context import Context
from repocore.registry.files import Files
from repocore.registry.identities import Identities
from repocore.registry.jobs import Jobs
from repocore.registry.permissions import Permissions
from repocore.registry.receiving import DirectUploads
from repocore.registry.releases import Releases
from repocore.registry.replicas import Replicas
from repocore.registry.replication import Replication
from repocore.registry.repositories import Repositories
from repocore.registry.retention import Retention
from repocore.registry.roles import Roles
from repocore.registry.sign_ins import SignIns
from repocore.registry.statistics import Statistics

__all__ = ["Session"]


class Session:
    """Everything that one principal may do; cheap to make, safe to keep and to share.

    Made by `Registry.session` or `Registry.connect`.  Each call decides anew: a permission that is
    taken away is gone with the next one.
    """

    def __init__(self, context: Context) -> None:
        context.session = self
        self._context = context

    @property
    def repositories(self) -> Repositories:
        """The repositories of the installation."""
        return Repositories(self._context)

    @property
    def files(self) -> Files:
        """The files of its repositories."""
        return Files(self._context)

    @property
    def uploads(self) -> DirectUploads:
        """Files that clients send to the storage themselves."""
        return DirectUploads(self._context)

    @property
    def attestations(self) -> Attestations:
        """What was attested of them."""
        return Attestations(self._context)

    @property
    def releases(self) -> Releases:
        """The releases that they belong to."""
        return Releases(self._context)

    @property
    def accounts(self) -> Accounts:
        """Accounts, groups, tokens and rules."""
        return Accounts(self._context)

    @property
    def roles(self) -> Roles:
        """Roles, and who holds them where."""
        return Roles(self._context)

    @property
    def permissions(self) -> Permissions:
        """Why somebody may do something, and who may."""
        return Permissions(self._context)

    @property
    def audit(self) -> Audit:
        """Who changed what."""
        return Audit(self._context)

    @property
    def identities(self) -> Identities:
        """Which accounts elsewhere are which accounts here."""
        return Identities(self._context)

    @property
    def sign_ins(self) -> SignIns:
        """Sessions of browsers."""
        return SignIns(self._context)

    @property
    def jobs(self) -> Jobs:
        """Background work."""
        return Jobs(self._context)

    @property
    def upkeep(self) -> Upkeep:
        """Check, collect, export."""
        return Upkeep(self._context)

    @property
    def replica(self) -> Replicas:
        """How far this registry is behind the one that it follows."""
        return Replicas(self._context)

    @property
    def replication(self) -> Replication:
        """What replicas of this registry ask."""
        return Replication(self._context)

    @property
    def retention(self) -> Retention:
        """What no policy keeps any more."""
        return Retention(self._context)

    @property
    def statistics(self) -> Statistics:
        """How much there is, and how much it is used."""
        return Statistics(self._context)

    @property
    def registry(self) -> Any:
        """The registry that made it."""
        return self._context.services.registry

    @property
    def principal(self) -> Principal:
        """Who is asking; raises `NotAuthenticatedError` once the credentials are worth nothing."""
        return self._context.principal

    @property
    def origin(self) -> Origin:
        """Who it acts for, by which token, from where: as records and logs tell it."""
        return self._context.origin

    @property
    def source(self) -> str:
        """The client's address, where it was told."""
        return self._context.origin.source

    def require(self, action: Action, resource: Resource) -> None:
        """Return if it is allowed.

        Raises `NotAuthenticatedError` where nobody signed in, else `AccessDeniedError`.
        """
        self._context.enter()
        self._context.require(action, resource)

    def allowed(self, action: Action, resource: Resource) -> bool:
        """Whether it is allowed."""
        self._context.enter()
        return self._context.allowed(action, resource)
