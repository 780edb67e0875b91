"""Jobs that do what a test says, and the house that they run in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import attrs

import repocore
from repocore import Action, Job, Principal, Registry, Resource, Rule, Session, hookimpl
from repocore.config import JobSettings, Settings
from repocore.ports import JobHandler

MOMENT = timedelta(microseconds=1)
#: A job looks at each check whether it is to give up, and is not tried again by itself.
QUICK = JobSettings(interval=MOMENT, backoff=timedelta(hours=1), attempts=3)


class Crash(BaseException):
    """The process dies here; nothing may catch it."""


@attrs.define
class Kinds:
    """A plugin: ``act`` is the test's to say, ``write`` needs WRITE of a package."""

    act: Callable[..., str | None] = lambda _session, _payload, _progress: None
    ran: list[Any] = attrs.field(factory=list)
    timeout: timedelta | None = None

    @hookimpl
    def repocore_jobs(self):
        return {
            "act": JobHandler(run=self._act, summary="Do as the test says.", timeout=self.timeout),
            "write": JobHandler(run=self._act, summary="The same, for a writer.", needs=self.needs),
            "once": JobHandler(run=self._act, summary="The same, tried once.", attempts=1),
        }

    def _act(self, session: Session, payload: Any, progress: Any) -> str | None:
        self.ran.append(dict(payload))
        return self.act(session, payload, progress)

    @staticmethod
    def needs(payload: Any) -> tuple[Action, Resource]:
        return Action.WRITE, Resource("conan", "main", payload.get("package"))


@attrs.define
class Works:
    """A registry with these kinds, and how a test acts in it."""

    registry: Registry
    kinds: Kinds

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    @property
    def jobs(self) -> Any:
        return self.admin.jobs

    def as_(self, name: str | None, scope: tuple[Rule, ...] | None = None) -> Session:
        return self.registry.session(Principal(name=name, scope=scope, via="test"))

    def allow(self, subject: str, actions: str, pattern: str) -> None:
        rule = Rule(
            subject=subject, actions=repocore.actions_of(actions.split(",")), pattern=pattern
        )
        self.admin.accounts.add_rule(rule)

    def work(self, kinds: Iterable[str] | None = None) -> bool:
        return self.registry.worker(kinds).work()

    def done(self, kind: str = "act", payload: Any = None, **more: Any) -> Job:
        """The job after one attempt."""
        job = self.jobs.submit(kind, payload, **more)
        assert self.work()
        return self.jobs.get(job.id)


@contextmanager
def opened(
    settings: Settings, kinds: Kinds | None = None, *plugins: object, **jobs: Any
) -> Generator[Works]:
    """The registry; ``jobs`` are settings of ``[jobs]`` that differ from the quick ones."""
    kinds = kinds or Kinds()
    chosen = attrs.evolve(settings, jobs=attrs.evolve(QUICK, **jobs))
    with repocore.open_registry(settings=chosen, plugins=[kinds, *plugins]) as registry:
        yield Works(registry, kinds)
