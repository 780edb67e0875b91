"""The registry: one opened installation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

import attrs
import pluggy

from repocore.catalog import Catalog
from repocore.config import Settings
from repocore.errors import (
    ConfigurationError,
    DuplicateDocumentError,
    DuplicateFormatError,
    MissingError,
    NoPluginForUrlError,
    NotAuthenticatedError,
    PluginError,
)
from repocore.http import Route
from repocore.model import Anonymous, Credentials, Password, Policy, Principal
from repocore.ports import Format, Indexer, JobHandler, JobRunner, Storage
from repocore.registry.access import Access, AccessBook, Declared
from repocore.registry.audit import seal_records
from repocore.registry.background import Background
from repocore.registry.context import Context
from repocore.registry.counting import Counter
from repocore.registry.declaring import declared_access, make_accounts
from repocore.registry.doubting import settings_doubts
from repocore.registry.health import Health, Pulse
from repocore.registry.indexing import Indexing
from repocore.registry.relay import Relay, tell
from repocore.registry.services import SYSTEM, Services
from repocore.registry.session import Session
from repocore.registry.storing import open_storage
from repocore.registry.throttling import Throttle
from repocore.registry.tracing import Tracing
from repocore.registry.working import Worker

__all__ = ["Registry"]

_NO_ISSUER = "No plugin issues tokens; enable repocore.plugins.bearer."


class Registry:
    """One installation: its settings, plugins, storage and catalog.

    Opened by `repocore.open_registry`; close it, or use it in a ``with`` block.  Threads may share
    it; a forked process opens its own.
    """

    def __init__(
        self,
        settings: Settings,
        plugins: pluggy.PluginManager,
        plugin_settings: Mapping[str, Any],
    ) -> None:
        self.settings = settings
        self.plugins = plugins
        self._plugin_settings = plugin_settings
        hooks = plugins.hook
        self.formats: Mapping[str, Format] = _formats(hooks, plugin_settings)
        indexers = _indexers(hooks, plugin_settings)
        handlers = _handlers(hooks, settings)
        #: Whether every authorizer can answer for a whole repository at once.
        self.surveyed = _all_survey(plugins)
        declared = declared_access(settings, self.formats)
        settings.data.mkdir(parents=True, exist_ok=True)
        catalog = Catalog(settings.catalog, folder=settings.data, postgres=settings.postgres)
        self._throttle = Throttle(catalog, settings.sign_in)
        self._services = self._make_services(catalog, declared, indexers, handlers)
        self._pulse = Pulse(self._services)
        self._closed = False
        self._background = Background(self._services)
        try:
            self._services.runner = self._open_runner()
            if not (settings.read_only or self._services.following):
                self._make_repositories()
                make_accounts(self._services, settings.account)
            hooks.repocore_startup.call_historic(kwargs={"registry": self})
            # Also for those who have begun to listen now.
            catalog.listened = bool(hooks.repocore_event.get_hookimpls())
            self._services.book.forgetful = any(hooks.repocore_volatile(registry=self))
        except BaseException:
            self.close()
            raise

    def _make_services(
        self,
        catalog: Catalog,
        declared: Declared,
        indexers: Mapping[str, Sequence[Indexer]],
        handlers: Mapping[str, JobHandler[Any]],
    ) -> Services:
        hooks, settings = self.plugins.hook, self.settings
        tracing = Tracing(settings, hooks.repocore_tracer(settings=settings))
        storage = tracing.watch_storage(open_storage(settings, hooks, self._plugin_settings))
        (catalog.migrate if settings.migrate_at_start else catalog.require_current)()
        tracing.watch_catalog(catalog)
        catalog.listened = bool(hooks.repocore_event.get_hookimpls())
        counter = Counter(catalog)
        self._relay = Relay(
            tuple(self._tasks(catalog, counter)), settings.limits.count_interval.total_seconds()
        )
        services = Services(
            settings=settings,
            hooks=hooks,
            catalog=catalog,
            storage=storage,
            formats=self.formats,
            indexers=indexers,
            book=AccessBook(catalog, declared),
            counter=counter,
            wake=lambda: self._relay.wake() if catalog.listened else self._relay.start(),
            registry=self,
            handlers=handlers,
            tracing=tracing,
        )
        services.indexing = Indexing(services)
        catalog.recorded = lambda: not services.following
        return services

    def _tasks(self, catalog: Catalog, counter: Counter) -> Iterator[Callable[[], object]]:
        """What is done in the background, again and again."""
        yield counter.flush
        # A listener may want to change something: none is told while that is refused.
        if not self.settings.read_only:
            yield lambda: catalog.listened and tell(catalog, self.plugins.hook, self)
        # The records of a replica are sealed as its primary has sealed them.
        yield lambda: self._services.following or seal_records(catalog)
        if self.settings.limits.document_ahead:
            yield self._index_ahead

    def _index_ahead(self) -> None:
        if not self._closed:  # nobody reads what is made at the very end
            self._services.indexing.ahead()

    def _make_repositories(self) -> None:
        """Make what the settings name, if it is not there."""
        room = self.session(self.admin()).repositories
        there = {repository.address for repository in room.list()}
        for wanted in self.settings.repository:
            address = f"{wanted.format}/{wanted.name}"
            if address in there:
                continue
            room.create(
                address,
                description=wanted.description,
                private=wanted.private,
                policy=wanted.policy or Policy(),
                options=wanted.options,
            )

    @property
    def storage(self) -> Storage:
        """The opened storage; for its own plugin and for tests, who may not need permissions."""
        return self._services.storage

    @property
    def tracing(self) -> Tracing:
        """Where spans are begun; for adapters, and for plugins that do something long."""
        return self._services.tracing

    @property
    def access(self) -> Access:
        """Rules and repositories as this process knows them; `Access.version` tells of changes."""
        return self._services.book.known

    @property
    def step(self) -> Any:
        """Called with a name between any two steps that change something; for crash tests."""
        return self._services.step

    @step.setter
    def step(self, watch: Any) -> None:
        self._services.step = watch

    def admin(self) -> Principal:
        """The embedding application itself, which may do everything."""
        return SYSTEM

    def authenticate(self, credentials: Credentials, *, source: str = "") -> Principal:
        """Who sent these credentials; the ``source`` is their address.

        Raises `NotAuthenticatedError` where they are wrong, or where no authenticator knows them,
        and `TooManyAttemptsError` where that has happened too often.
        """
        if isinstance(credentials, Anonymous):
            return Principal(name=None)
        return self._services.book.verify(credentials, lambda: self._ask(credentials, source))

    def attempt(
        self, credentials: Credentials, *, source: str = ""
    ) -> AbstractContextManager[None]:
        """Count an attempt to sign in some way of a plugin's own, as those of `authenticate` are.

        The block raises `NotAuthenticatedError` where it fails.  Raises `TooManyAttemptsError`.
        """
        return self._throttle.attempt(credentials, source)

    def _ask(self, credentials: Credentials, source: str) -> Principal:
        hook = self._services.hooks.repocore_authenticate
        with self._throttle.attempt(credentials, source):
            found = hook(registry=self, credentials=credentials)
            if found is None:
                raise NotAuthenticatedError(_unknown(credentials))
            return self._joined(found)

    def _joined(self, principal: Principal) -> Principal:
        """With the groups of the account of that name, whoever knew the name.

        Raises `NotAuthenticatedError` where that account is disabled.
        """
        try:
            account = self.session(SYSTEM).accounts.get(str(principal.name))
        except MissingError:
            return principal
        if account.disabled:
            message = "The account of that name is disabled."
            raise NotAuthenticatedError(message)
        return attrs.evolve(principal, groups=principal.groups | account.groups)

    def session(self, principal: Principal, *, source: str = "") -> Session:
        """Act for a principal that the application vouches for.

        The ``source`` stands in the records of what it changes: a client's address.
        """
        return Session(Context(self._services, principal, source=source))

    def connect(self, credentials: Credentials, *, source: str = "") -> Session:
        """Act for whoever sent these credentials, as long as they are worth something.

        The ``source`` is the client's address.  Raises `NotAuthenticatedError`.
        """
        again = partial(self.authenticate, credentials, source=source)
        principal = again()
        return Session(Context(self._services, principal, again, source))

    def issue(self, principal: Principal, *, audience: str, lifetime: timedelta) -> str:
        """A signed token that authenticates as this principal for a while, scope included.

        Raises `NotAuthenticatedError` for the anonymous, and `ConfigurationError` where no plugin
        issues tokens.
        """
        if principal.anonymous:
            raise NotAuthenticatedError
        token = self._services.hooks.repocore_issue(
            registry=self, principal=principal, audience=audience, lifetime=lifetime
        )
        if token is None:
            raise ConfigurationError(_NO_ISSUER)
        return token

    def routes(self) -> tuple[Route[Session], ...]:
        """The routes of every plugin."""
        found = self._services.hooks.repocore_routes(registry=self)
        return tuple(route for routes in reversed(found) for route in routes)

    def redeem(self, token: str, *, audience: str) -> Principal:
        """Whom a token of `issue` was made for, for that audience and no other.

        Raises `NotAuthenticatedError`, and `ConfigurationError` where no plugin issues tokens.
        """
        found = self._services.hooks.repocore_redeem(registry=self, token=token, audience=audience)
        if found is None:
            raise ConfigurationError(_NO_ISSUER)
        return self._joined(found)

    def plugin_settings(self, name: str) -> Any:
        """What ``[plugins.NAME]`` became: an instance of the class that its plugin named."""
        return self._plugin_settings[name]

    def worker(self, kinds: Iterable[str] | None = None) -> Worker:
        """What runs jobs in this process, of these kinds or of all; for runners.

        Raises `ConfigurationError` for a kind that no plugin brings.
        """
        return Worker(self._services, self.session, kinds)

    def run_jobs(self) -> None:
        """Run jobs in this process until it closes, or follow, in a replica; idempotent.
        A registry runs none unless it is told to: `repocore serve` and ``repocore_web.wsgi`` do.
        """
        self._background.start()

    def _open_runner(self) -> JobRunner:
        url = self.settings.runner
        runner = self._services.hooks.repocore_job_runner(registry=self, url=url, kinds=None)
        if runner is None:
            scheme = url.partition(":")[0]
            message = f"No plugin runs jobs by {scheme}; see `repocore plugins`."
            raise NoPluginForUrlError(message)
        return runner

    def health(self) -> Health:
        """Whether what this stands on answers, asked within the last two seconds."""
        return self._pulse.take()

    @property
    def following(self) -> bool:
        """Whether this is a replica of another registry."""
        return self._services.following

    def require_writable(self) -> None:
        """Raise `ReadOnlyError` where nothing is to change: by the settings, or in a replica."""
        self._services.require_writable()

    def doubts(self) -> list[str]:
        """What the settings name that is not there (yet), each in a sentence; no error is made of
        it, since it may come, and another authenticator may know it.
        """
        return settings_doubts(self.settings, self.formats, self._services.catalog)

    def tell(self) -> None:
        """Write counted downloads and tell listeners of what is due, here and now."""
        self._relay.run()

    def close(self) -> None:
        """Release everything; idempotent."""
        if self._closed:
            return
        self._closed = True
        for part in (self._background, self._relay, self._pulse):
            part.close()
        self._services.hooks.repocore_shutdown(registry=self)
        self._services.catalog.close()
        self._services.tracing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _unknown(credentials: Credentials) -> str:
    """What is said of credentials that nobody knows; of a password what is said of a wrong one."""
    if isinstance(credentials, Password):
        return "Wrong user or password."
    return "Nobody is known by these credentials."


def _formats(hooks: pluggy.HookRelay, settings: Mapping[str, Any]) -> dict[str, Format]:
    formats: dict[str, Format] = {}
    brought: Iterable[Iterable[Format]] = hooks.repocore_formats(plugin_settings=settings)
    for format_ in (format_ for one in brought for format_ in one):
        if format_.name in formats:
            message = f"Two plugins bring the format {format_.name}; disable one of them."
            raise DuplicateFormatError(message)
        formats[format_.name] = format_
    return formats


def _indexers(
    hooks: pluggy.HookRelay, settings: Mapping[str, Any]
) -> dict[str, tuple[Indexer, ...]]:
    found: dict[str, dict[str, Indexer]] = {}
    brought: Iterable[Iterable[Indexer]] = hooks.repocore_indexers(plugin_settings=settings)
    for indexer in (indexer for one in brought for indexer in one):
        kinds = found.setdefault(indexer.format, {})
        if indexer.kind in kinds:
            message = f"Two plugins bring the indexer {indexer.kind} of {indexer.format}."
            raise DuplicateDocumentError(message)
        kinds[indexer.kind] = indexer
    return {name: tuple(kinds.values()) for name, kinds in found.items()}


def _handlers(hooks: pluggy.HookRelay, settings: Settings) -> dict[str, JobHandler[Any]]:
    handlers: dict[str, JobHandler[Any]] = {}
    brought: Iterable[Mapping[str, JobHandler[Any]]] = hooks.repocore_jobs()
    for kind, handler in (item for one in brought for item in one.items()):
        if kind in handlers:
            message = f"Two plugins bring jobs of the kind {kind}; disable one of them."
            raise PluginError(message)
        handlers[kind] = handler
    problems = tuple(
        f"schedule[{place}].job: there are no jobs of the kind {schedule.job}"
        for place, schedule in enumerate(settings.schedule)
        if schedule.job not in handlers
    )
    if problems:
        raise ConfigurationError(problems=problems)
    return handlers


def _all_survey(plugins: pluggy.PluginManager) -> bool:
    surveys = {call.plugin_name for call in plugins.hook.repocore_survey.get_hookimpls()}
    decides = {call.plugin_name for call in plugins.hook.repocore_authorize.get_hookimpls()}
    return decides <= surveys
