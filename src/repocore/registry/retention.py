"""The room of retention: ``session.retention`` — which releases may go, and deleting them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs

from repocore.catalog import Transaction, retention
from repocore.catalog.retention import Bounds, Unkept
from repocore.catalog.rows import StoredRepository, maybe_time, micros_of, time_of
from repocore.config import RetentionSettings
from repocore.config.values import write_duration, write_size
from repocore.model import Action, Resource, split_address
from repocore.model.decisions import compiled
from repocore.ports import Progress, RetainingFormat
from repocore.registry.context import Context
from repocore.registry.services import Services

__all__ = ["Outdated", "Retention", "RetentionReport"]

#: Releases of which a plan remembers whether they go, for those that hang on them.
_REMEMBERED = 1024


@attrs.frozen(kw_only=True)
class Outdated:
    """A release that no policy keeps.

    ``releases``, ``files`` and ``bytes`` count it with all that hangs on it; equal content counts
    each time, so that the disk may win less.  ``last_used`` (UTC) is its last download or the last
    of what hangs on it, None where there was none.
    """

    repository: str
    partition: str
    release: str
    package: str
    version: str
    releases: int
    files: int
    bytes: int
    released_at: datetime
    last_used: datetime | None
    #: In words.
    why: str


@attrs.frozen(kw_only=True)
class RetentionReport:
    """What was deleted, counted as in `Outdated`."""

    releases: int
    files: int
    bytes: int
    #: Releases that were to go, and were used or uploaded again meanwhile.
    spared: int


@attrs.frozen
class _Found:
    """A release that goes, where it is, what decided it, and why in words."""

    repository: StoredRepository
    bounds: Bounds
    row: Unkept
    why: str


class Retention:
    """Find and delete the releases that no policy keeps.

    The first policy whose pattern fits a release decides, and what none fits is kept.  A release
    goes only if none of its policy's criteria keeps it:

    - ``keep_last``: fewer than so many listed releases of its partition are newer, or, of a
      `repocore.ports.RetainingFormat`, fewer than so many listed versions of its package there;
      without it one, so that the newest goes only where ``keep_last = 0`` says so;
    - ``keep_count_each``: fewer than so many listed releases of its package are newer; what hangs
      on another release is not counted, and not held by it;
    - ``keep_count`` and ``keep_size``: it is among so many newest releases of the repository, or
      among those newest that have so many bytes together; as of when the run began;
    - ``keep_downloaded``: it was downloaded in that time, or something that hangs on it was;
    - ``keep_younger``: it was uploaded in that time, or something that hangs on it was.

    It also stays while somebody uploads what hangs on it.  A release goes whole, in one
    transaction, and with all that hangs on it; ``keep_last`` of these does not hold it.

    Releases of a package that its format calls lasting stay, whatever a policy says.

    Every method takes policies, the settings' otherwise; deleting, and learning of what may be
    deleted, needs DELETE of each release.  Downloads that another process has not written yet
    (``limits.count_interval``) are not seen.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def policies(self) -> tuple[RetentionSettings, ...]:
        """The policies of the settings, in order."""
        return self._context.services.settings.retention

    def plan(self, policies: Sequence[RetentionSettings] | None = None) -> Iterator[Outdated]:
        """What `apply` would delete now, a page at a time; changes nothing.

        What goes with another release is not told by itself.  Raises `NotAuthenticatedError` and
        `AccessDeniedError` at the first release that the principal may not delete.
        """
        for found in self._walk(policies):
            self._require(found)
            yield _outdated(found)

    def apply(
        self,
        policies: Sequence[RetentionSettings] | None = None,
        *,
        progress: Progress | None = None,
    ) -> RetentionReport:
        """Delete what no policy keeps, each release in a transaction that asks once more.

        Idempotent, and may be ended anywhere: what is deleted stays so, the next call goes on.
        Raises as `plan`; what went before stays deleted.
        """
        if progress is not None:
            progress.start(None, "Deleting what no policy keeps")
        releases = files = size = spared = 0
        for found in self._walk(policies):
            if progress is not None:
                progress.check()
            if not self._delete(found):
                spared += 1
                continue
            one = _outdated(found)
            releases, files, size = releases + one.releases, files + one.files, size + one.bytes
            if progress is not None:
                progress.advance()
        return RetentionReport(releases=releases, files=files, bytes=size, spared=spared)

    def _require(self, found: _Found) -> None:
        value = found.repository.value
        format_ = self._context.services.formats.get(value.format)
        scope = (None, None) if format_ is None else format_.scope(found.row.partition)
        if scope == (None, None):
            scope = (found.row.package, found.row.version)
        self._context.find(value.address, Action.DELETE, scope)

    def _delete(self, found: _Found) -> bool:
        self._require(found)
        services = self._context.services
        services.counter.flush()

        def work(transaction: Transaction) -> bool:
            return retention.remove(
                transaction, found.repository, found.row, found.bounds, self._context.by
            )

        return self._context.write(work)

    def _walk(self, policies: Sequence[RetentionSettings] | None) -> Iterator[_Found]:
        self._context.enter()
        services = self._context.services
        given = services.settings.retention if policies is None else policies
        for address, stored in sorted(services.book.known.repositories.items()):
            where = split_address(address)
            covering = [p for p in given if compiled(p.pattern).covers(*where) is not False]
            yield from _Search(services, stored, covering).found()


class _Search:
    """What goes of one repository."""

    def __init__(
        self,
        services: Services,
        stored: StoredRepository,
        policies: Sequence[RetentionSettings],
    ) -> None:
        self._services = services
        self._stored = stored
        self._policies = tuple(dict.fromkeys(policies))
        format_ = services.formats.get(stored.value.format)
        #: Whether `keep_last` counts versions.
        self._versions = isinstance(format_, RetainingFormat)
        self._lasting: frozenset[str] = getattr(format_, "lasting", frozenset())
        self._bounds = lru_cache(None)(self._found_bounds)
        #: Those that hang on one release mostly come one after another.
        self._goes_with = lru_cache(_REMEMBERED)(self._goes)

    def found(self) -> Iterator[_Found]:
        """Those that others hang on first: what goes with one of them is not told by itself."""
        for hanging in (False, True):
            for policy in self._policies:
                bounds = self._bounds(policy)
                if bounds is None:
                    continue
                for row in self._rows(bounds, hanging=hanging):
                    if self._policy(row) is policy and not self._goes_with(row.parent):
                        why = _why(policy, versions=self._versions)
                        yield _Found(self._stored, bounds, row, why)

    def _found_bounds(self, policy: RetentionSettings) -> Bounds | None:
        """What a policy keeps here; None: all."""
        count, size = policy.keep_count, policy.keep_size
        beyond = None
        if count is not None or size is not None:
            with self._services.catalog.snapshot() as connection:
                beyond = retention.beyond(connection, self._stored.id, count, size)
            if beyond is None:
                return None
        younger, downloaded = policy.keep_younger, policy.keep_downloaded
        return Bounds(
            newest=1 if policy.keep_last is None else policy.keep_last,
            versions=self._versions,
            each=policy.keep_count_each,
            beyond=beyond,
            downloaded=None if downloaded is None else micros_of(downloaded),
            younger=None if younger is None else micros_of(younger),
            uploading=micros_of(self._services.settings.limits.draft_lifetime),
        )

    def _rows(self, bounds: Bounds, *, hanging: bool) -> Iterator[Unkept]:
        after = ("", "")
        limit = self._services.settings.limits.page
        while True:
            self._services.counter.flush()
            with self._services.catalog.snapshot() as connection:
                page = retention.page(
                    connection, self._stored.id, bounds, after, limit, hanging=hanging
                )
            yield from page
            if len(page) < limit:
                return
            after = (page[-1].partition, page[-1].name)

    def _policy(self, row: Any) -> RetentionSettings | None:
        """The one that decides of a release."""
        if row.package in self._lasting:
            return None
        value = self._stored.value
        resource = Resource(value.format, value.name, row.package, row.version)
        fitting = (p for p in self._policies if compiled(p.pattern).matches(resource))
        return next(fitting, None)

    def _goes(self, key: str | None) -> bool:
        """Whether a release goes, by itself or with what it hangs on."""
        if key is None:
            return False
        with self._services.catalog.snapshot() as connection:
            row = retention.find(connection, self._stored.id, key)
            policy = None if row is None else self._policy(row)
            bounds = None if policy is None else self._bounds(policy)
            if bounds is not None and retention.goes(connection, self._stored.id, row, bounds):
                return True
        return row is not None and self._goes(row.parent)


def _outdated(found: _Found) -> Outdated:
    row = found.row
    return Outdated(
        repository=found.repository.value.address,
        partition=row.partition,
        release=row.name,
        package=row.package,
        version=row.version,
        releases=row.releases,
        files=row.files,
        bytes=row.bytes,
        released_at=time_of(row.released_at),
        last_used=maybe_time(row.used_at),
        why=found.why,
    )


def _why(policy: RetentionSettings, *, versions: bool) -> str:
    newest = 1 if policy.keep_last is None else policy.keep_last
    one, many = (" version", " versions") if versions else ("", "")
    reasons = [f"not among the newest {newest}{many}" if newest > 1 else f"not the newest{one}"]
    if newest == 0:
        reasons = []
    if policy.keep_count_each is not None:
        reasons.append(f"not among the newest {policy.keep_count_each} of its package")
    if policy.keep_count is not None:
        reasons.append(f"not among the newest {policy.keep_count} of all")
    if policy.keep_size is not None:
        reasons.append(f"beyond the newest {write_size(policy.keep_size)} of all")
    if policy.keep_downloaded is not None:
        reasons.append(f"not downloaded for {write_duration(policy.keep_downloaded)}")
    if policy.keep_younger is not None:
        reasons.append(f"older than {write_duration(policy.keep_younger)}")
    return ", ".join(reasons)
