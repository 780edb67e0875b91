"""What every room of a session works with; made once, by the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pluggy

from repocore.catalog import Catalog
from repocore.config import Settings
from repocore.errors import ReadOnlyError, ReplicaReadOnlyError, RepositoryMissingError
from repocore.model import Event, Job, Principal
from repocore.ports import Format, Indexer, JobHandler, JobRunner, Storage
from repocore.registry.access import AccessBook
from repocore.registry.counting import Counter
from repocore.registry.tracing import Tracing

__all__ = ["SYSTEM", "Services"]

#: The embedding application itself.
SYSTEM = Principal(name="system", via="library", trusted=True)


class _Nobody:
    """The runner until there is one: jobs wait in their rows."""

    def submit(self, emit: Callable[[Event], None], job: Job) -> None:
        """Leave it."""

    def wake(self) -> None:
        """Sleep on."""

    def run(self, until: Callable[[], bool]) -> None:
        """Run none."""

    def drain(self) -> int:
        """Run none."""
        return 0

    def cancel(self, number: int) -> None:
        """Leave it."""

    def close(self) -> None:
        """Nothing is open."""


def _pass(_step: str) -> None:
    """Nobody watches the steps."""


@attrs.define(eq=False)
class Services:
    """The collaborators of the rooms."""

    settings: Settings
    hooks: pluggy.HookRelay
    catalog: Catalog
    storage: Storage
    formats: Mapping[str, Format]
    #: By the name of their format.
    indexers: Mapping[str, Sequence[Indexer]]
    book: AccessBook
    counter: Counter
    tracing: Tracing
    #: Called after each commit, to have listeners told.
    wake: Callable[[], None]
    #: The gate before documents; this floor knows no type for what stands above it.
    indexing: Any = None
    #: The registry, for hooks; this floor knows no type for what stands above it.
    registry: Any = None
    #: The kinds of jobs, by name.
    handlers: Mapping[str, JobHandler[Any]] = attrs.field(factory=dict[str, JobHandler[Any]])
    runner: JobRunner = attrs.field(factory=_Nobody)
    #: Named between any two steps that change something outside of memory; tests crash here.
    step: Callable[[str], None] = _pass

    @property
    def following(self) -> bool:
        """Whether this is a replica: by its settings, and never promoted."""
        return self.settings.replica.of is not None and not self.book.known.promoted

    def require_writable(self) -> None:
        """Raise `ReadOnlyError` where the settings say that nothing is to change, and
        `ReplicaReadOnlyError` in a replica.
        """
        self.require_own_writes()
        if self.following:
            primary = self.settings.replica.of
            message = f"This registry is a replica, and nothing was changed; use {primary} instead."
            raise ReplicaReadOnlyError(message)

    def require_own_writes(self) -> None:
        """Raise `ReadOnlyError` where not even a replica changes what is its own."""
        if self.settings.read_only:
            raise ReadOnlyError

    def format(self, name: str) -> Format:
        """A registered format; raises `RepositoryMissingError` where no plugin brings it."""
        found = self.formats.get(name)
        if found is None:
            raise RepositoryMissingError
        return found
