"""What every runner keeps: it runs what is queued, once told to, and ends when it is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Final

import attrs

from repocore.errors import JobError
from repocore.markers import hookimpl
from repocore.model import JobState, Payload
from repocore.ports import JobHandler, Progress
from repocore.registry import Registry, Session

__all__ = ["MakeInstallation", "runner_contract"]

#: A context manager around one new, empty installation; what it yields opens it with plugins.
MakeInstallation = Callable[[], AbstractContextManager[Callable[[Iterable[object]], Registry]]]

_PATIENCE: Final = timedelta(seconds=60)
#: Seconds in which a runner that runs too early shows itself.
_QUIET: Final = 1.0
_CONTRACT: Final = "contract"


@attrs.define
class _Kind:
    """A plugin with one kind of job: it does what its payload says."""

    ran: list[int] = attrs.field(factory=list[int])
    started: threading.Event = attrs.field(factory=threading.Event)

    @hookimpl
    def repocore_jobs(self) -> Mapping[str, JobHandler[Session]]:
        return {_CONTRACT: JobHandler(run=self._run, summary="Do what the payload says.")}

    def _run(self, _session: Session, payload: Payload, progress: Progress) -> str:
        self.ran.append(payload.get("number", 0))
        self.started.set()
        if "fail" in payload:
            raise JobError(payload["fail"])
        while payload.get("endless") and len(self.ran) == 1:
            progress.check()
            self.started.wait(0.001)
        return "Done."


@attrs.frozen
class _House:
    open: Callable[[Iterable[object]], Registry]
    patience: timedelta

    @contextmanager
    def registry(self, kind: _Kind, *, running: bool = True) -> Generator[Registry]:
        with self.open([kind]) as registry:
            if running:
                registry.run_jobs()
            yield registry

    def submit(self, registry: Registry, payload: Payload, key: str | None = None) -> int:
        room = registry.session(registry.admin()).jobs
        return room.submit(_CONTRACT, payload, key=key).id

    def wait(self, registry: Registry, number: int) -> Any:
        return registry.session(registry.admin()).jobs.wait(number, timeout=self.patience)

    def await_start(self, kind: _Kind) -> None:
        assert kind.started.wait(self.patience.total_seconds()), "the job is not started"


def runner_contract(  # noqa: C901 - a class of small tests
    make: MakeInstallation, *, patience: timedelta = _PATIENCE
) -> type:
    """A class of tests for a runner.

    ``make()`` is a context manager around a new installation whose setting ``runner`` names the
    runner; what it yields opens that with further plugins, as often as it is called.  A job that
    has not ended in ``patience`` is one that is not run.
    """

    @contextmanager
    def house() -> Generator[_House]:
        with make() as opening:
            yield _House(opening, patience)

    class TestRunner:
        """The contract of `JobRunner`."""

        def test_a_job_is_run_to_its_end(self) -> None:
            """Whether it was queued before the runner ran, or while."""
            kind = _Kind()
            with house() as found, found.registry(kind, running=False) as registry:
                first = found.submit(registry, {"number": 1})
                registry.run_jobs()
                assert found.wait(registry, first).outcome == "Done."
                second = found.submit(registry, {"number": 2})
                assert found.wait(registry, second).state is JobState.DONE
                assert kind.ran == [1, 2]

        def test_nothing_is_run_before_it_is_told_to(self) -> None:
            """A registry that is only asked runs no jobs."""
            kind = _Kind()
            with house() as found, found.registry(kind, running=False) as registry:
                number = found.submit(registry, {})
                assert not kind.started.wait(_QUIET), "it runs without having been told to"
                state = registry.session(registry.admin()).jobs.get(number).state
                assert state is JobState.QUEUED

        def test_each_job_is_run_once(self) -> None:
            """While nobody dies, one attempt each."""
            kind = _Kind()
            with house() as found, found.registry(kind) as registry:
                queued = [found.submit(registry, {"number": n}) for n in range(20)]
                for number in queued:
                    assert found.wait(registry, number).attempts == 1
                assert sorted(kind.ran) == list(range(20)), "a job is lost, or run twice"

        def test_a_failure_is_the_job_s_own(self) -> None:
            """Its sentence is kept, and the next job is run."""
            kind = _Kind()
            with house() as found, found.registry(kind) as registry:
                failed = found.wait(registry, found.submit(registry, {"fail": "It cannot be."}))
                assert (failed.state, failed.error) == (JobState.FAILED, "It cannot be.")
                after = found.wait(registry, found.submit(registry, {}))
                assert after.state is JobState.DONE

        def test_a_running_job_can_be_cancelled(self) -> None:
            """It ends at its next check."""
            kind = _Kind()
            with house() as found, found.registry(kind) as registry:
                number = found.submit(registry, {"endless": True})
                found.await_start(kind)
                registry.session(registry.admin()).jobs.cancel(number)
                assert found.wait(registry, number).state is JobState.CANCELLED

        def test_closing_puts_back_what_runs(self) -> None:
            """The next process goes on with it, and an attempt it was not."""
            kind = _Kind()
            with house() as found:
                with found.registry(kind) as registry:
                    number = found.submit(registry, {"endless": True})
                    found.await_start(kind)
                with found.registry(kind) as registry:
                    job = found.wait(registry, number)
                    assert (job.state, job.attempts) == (JobState.DONE, 1)

    return TestRunner
