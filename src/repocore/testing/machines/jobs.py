"""Jobs under attack: claims, failures, deaths, retries and cancelling, against a dict.

    def test_jobs():
        run_jobs_machine(my_installations)

The argument makes a context manager around one new, empty installation; what that yields opens
it with further plugins and settings of jobs, and is called for each process that the machine
plays.  Two of them work with a long lease; a third has a short one, and so takes whoever runs for
dead.  They act in turn, also in the middle of each other's jobs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any, Final

import attrs
from hypothesis import settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from repocore.config import JobSettings
from repocore.errors import JobError, StorageError
from repocore.markers import hookimpl
from repocore.model import JobState, Payload
from repocore.ports import JobHandler, Progress
from repocore.registry import Registry, Session, Worker

__all__ = ["Death", "JobsMachine", "MakeWorks", "OpenWorks", "run_jobs_machine"]

OpenWorks = Callable[[Iterable[object], JobSettings], Registry]
MakeWorks = Callable[[], AbstractContextManager[OpenWorks]]

_ATTEMPTS: Final = 3
_MOMENT: Final = timedelta(microseconds=1)
_LONG: Final = timedelta(hours=1)
_PATIENT: Final = JobSettings(attempts=_ATTEMPTS, backoff=_LONG, lease=_LONG, interval=_MOMENT)
_HASTY: Final = attrs.evolve(_PATIENT, lease=_MOMENT)
_KIND: Final = "machine"
_REAPER: Final = 2
#: More rounds than any number of jobs needs to come to its end.
_ROUNDS: Final = 500

_processes = st.integers(min_value=0, max_value=1)
_keys = st.sampled_from([None, "a", "b"])
_endings = st.sampled_from(["done", "check", "fail", "fail for good", "stop", "die"])
_meanwhiles = st.sampled_from(["nothing", "submit", "cancel", "work", "reap"])
_steps = st.sampled_from(["claimed", "worked", "settled"])


class Death(BaseException):
    """The process dies here; nothing may catch it."""


def run_jobs_machine(make: MakeWorks, settings: hypothesis_settings | None = None) -> None:
    """Run the machine over installations that ``make()`` opens; raises on the first fault."""
    machine: Any = partial(JobsMachine, make)
    run_state_machine_as_test(machine, settings=settings or hypothesis_settings())


@attrs.define(eq=False)
class _Job:
    """What must be true of a job."""

    key: str | None
    state: JobState = JobState.QUEUED
    #: Whether it waits for its next attempt.
    waits: bool = False
    attempts: int = 0
    cancelling: bool = False
    #: Made anew with each claim: who lost it has no say.
    holder: object = None
    #: How often its handler came to the end.
    worked: int = 0


@attrs.define
class _Script:
    """What the next handler does."""

    ending: str = "done"
    meanwhile: Callable[[int], None] = lambda _number: None
    #: The job that it was called for, and how it has it.
    job: _Job | None = None
    holder: object = None


@attrs.define(eq=False)
class _Process:
    """One process of the fleet."""

    registry: Registry
    worker: Worker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.worker = self.registry.worker([_KIND])

    @property
    def jobs(self) -> Any:
        return self.registry.session(self.registry.admin()).jobs

    def restart(self) -> None:
        self.worker = self.registry.worker([_KIND])


class JobsMachine(RuleBasedStateMachine):
    """Three processes on one installation, and the dict that their rows must agree with."""

    def __init__(self, make: MakeWorks) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._open = self._stack.enter_context(make())
        self.fleet: list[_Process] = []
        self.model: dict[int, _Job] = {}
        self._scripts: list[_Script] = []
        self._here: list[_Process] = []

    @hookimpl
    def repocore_jobs(self) -> Mapping[str, JobHandler[Session]]:
        """The machine is the plugin whose jobs it plays with."""
        return {_KIND: JobHandler(run=self._handle, summary="Do what the script says.")}

    @initialize()
    def begin(self) -> None:
        """All processes start on an empty installation."""
        for settings in (_PATIENT, _PATIENT, _HASTY):
            registry = self._stack.enter_context(self._open([self], settings))
            self.fleet.append(_Process(registry))

    # -------------------------------------------------------------------------------- the rules

    @rule(who=_processes, key=_keys)
    def submit(self, who: int, key: str | None) -> None:
        """A job is queued, or joins the one of its key that is."""
        number = self.fleet[who].jobs.submit(_KIND, {"number": len(self.model)}, key=key).id
        queued = [n for n, job in self.model.items() if job.state is JobState.QUEUED]
        same = [n for n in queued if key is not None and self.model[n].key == key]
        if same:
            assert number == same[0], "a second job of a key is queued"
            self.model[number].waits = False
        else:
            assert number not in self.model, "a job lost its number to another"
            self.model[number] = _Job(key)

    @rule(who=_processes, ending=_endings, meanwhile=_meanwhiles, key=_keys)
    def work(self, who: int, ending: str, meanwhile: str, key: str | None) -> None:
        """A process runs a job to some end, and in the middle of it another acts."""
        other = 1 - who
        acts: Mapping[str, Callable[[int], None]] = {
            "nothing": lambda _number: None,
            "submit": lambda _number: self.submit(other, key),
            "cancel": lambda number: self._cancel(other, number),
            "work": lambda _number: self._work(other, _Script()),
            "reap": lambda _number: self._reap(),
        }
        self._work(who, _Script(ending, acts[meanwhile]))

    @rule(who=_processes, step=_steps)
    def die_between(self, who: int, step: str) -> None:
        """A process dies between two steps of its work."""
        process = self.fleet[who]
        before = self._rows(JobState.RUNNING)
        script = _Script()

        def watch(name: str) -> None:
            if name == "settled":
                self._settled(script)
            if name == step:
                raise Death

        told, process.registry.step = process.registry.step, watch
        try:
            self._work(who, script)
        finally:
            process.registry.step = told
        for number in self._rows(JobState.RUNNING) - before:
            job = self.model[number]
            if job.state is JobState.QUEUED:  # it died before its handler was called
                self._claimed(job)

    @rule()
    def reap(self) -> None:
        """The lease of all that run is over."""
        self._reap()

    @precondition(lambda self: self.model)
    @rule(who=_processes, data=st.data())
    def cancel(self, who: int, data: st.DataObject) -> None:
        """Somebody cancels a job, in whichever state."""
        self._cancel(who, data.draw(st.sampled_from(sorted(self.model))))

    @precondition(lambda self: any(job.waits for job in self.model.values()))
    @rule(who=_processes)
    def hurry(self, who: int) -> None:
        """Somebody has a job start that waits for its next attempt."""
        number = next(n for n, job in self.model.items() if job.waits)
        assert self.fleet[who].jobs.retry(number).id == number
        self.model[number].waits = False

    # --------------------------------------------------------------------------------- judgement

    @invariant()
    def rows_are_what_was_promised(self) -> None:
        """Each process sees each job in the state and with the attempts that it must have."""
        wanted = {n: (j.state, j.attempts, j.cancelling) for n, j in self.model.items()}
        for process in self.fleet:
            found = {j.id: (j.state, j.attempts, j.cancelling) for j in process.jobs.list()}
            assert found == wanted, "a job is lost, undead, or somewhere else"

    def teardown(self) -> None:
        """At the end every job comes to its own."""
        try:
            if len(self.fleet) > _REAPER:
                self._bring_to_an_end()
        finally:
            self._stack.close()

    def _bring_to_an_end(self) -> None:
        for _ in range(_ROUNDS):
            if all(job.state.ended for job in self.model.values()):
                break
            for number, job in self.model.items():
                if job.waits:
                    self.fleet[0].jobs.retry(number)
                    job.waits = False
            self._reap()
        self.rows_are_what_was_promised()
        for number, job in self.model.items():
            assert job.state.ended, f"job {number} is never run"
            assert job.state is not JobState.DONE or job.worked, f"job {number} was not done"

    # -------------------------------------------------------------------------- work, and model

    def _rows(self, state: JobState) -> set[int]:
        return {job.id for job in self.fleet[0].jobs.list(state=state)}

    def _cancel(self, who: int, number: int) -> None:
        self.fleet[who].jobs.cancel(number)
        job = self.model[number]
        if job.state is JobState.QUEUED:
            job.state, job.waits = JobState.CANCELLED, False
        elif job.state is JobState.RUNNING:
            job.cancelling = True

    def _reap(self) -> None:
        """The process with the short lease works: what runs is dead to it."""
        for job in self.model.values():
            if job.state is JobState.RUNNING and (job.cancelling or job.attempts >= _ATTEMPTS):
                state = JobState.CANCELLED if job.cancelling else JobState.FAILED
                job.state, job.cancelling, job.holder = state, False, None
        self._work(_REAPER, _Script())

    def _work(self, who: int, script: _Script) -> None:
        process = self.fleet[who]
        self._scripts.append(script)
        self._here.append(process)
        depth = len(self._scripts)
        try:
            due = self._due(reaping=who == _REAPER)
            assert process.worker.work() == bool(due), "a job that is due is not run"
            self._settled(script)
        except Death:
            process.restart()
        finally:
            del self._scripts[depth - 1 :], self._here[depth - 1 :]

    def _due(self, *, reaping: bool) -> list[_Job]:
        running = {(job.key) for job in self.model.values() if job.state is JobState.RUNNING}
        return [
            job
            for job in self.model.values()
            if (reaping and job.state is JobState.RUNNING)
            or (
                job.state is JobState.QUEUED
                and not job.waits
                and (job.key is None or job.key not in running)
            )
        ]

    def _claimed(self, job: _Job) -> object:
        job.state, job.holder = JobState.RUNNING, object()
        job.attempts += 1
        return job.holder

    def _handle(self, session: Session, _payload: Payload, progress: Progress) -> str:
        """The handler: believes that it was called for the job that began to run just now."""
        script, process = self._scripts[-1], self._here[-1]
        number, job = self._begun(process)
        script.job, script.holder = job, self._claimed(job)
        script.meanwhile(number)
        if script.ending == "die":
            raise Death
        job.worked += 1
        return self._act(process, script.ending, progress)

    def _begun(self, process: _Process) -> tuple[int, _Job]:
        reaping = process is self.fleet[_REAPER]
        due = self._due(reaping=reaping)
        fresh = [
            row.id
            for row in process.jobs.list(state=JobState.RUNNING)
            if self.model[row.id].attempts + 1 == row.attempts
        ]
        assert len(fresh) == 1, "not one job was claimed"
        job = self.model[fresh[0]]
        assert job in due, "a job runs that is not due, or beside another of its key"
        return fresh[0], job

    def _settled(self, script: _Script) -> None:
        """The end was written, if the worker still had the job."""
        job = script.job
        if job is not None and job.holder is script.holder:
            self._ended(job, script.ending)

    def _ended(self, job: _Job, ending: str) -> None:
        """What becomes of a job that its worker still has."""
        again = ending == "stop" or (ending == "fail" and job.attempts < _ATTEMPTS)
        if ending == "stop":
            job.attempts -= 1
        heirs = [
            other
            for other in self.model.values()
            if job.key is not None and other.key == job.key and other.state is JobState.QUEUED
        ]
        cancelled = job.cancelling and (ending == "check" or again)
        if cancelled and ending == "stop":
            job.attempts += 1
        if cancelled:
            job.state = JobState.CANCELLED
        elif again and heirs:
            job.state = JobState.FAILED
            job.attempts += ending == "stop"
        elif again:
            job.state, job.waits = JobState.QUEUED, ending == "fail"
        else:
            job.state = JobState.FAILED if ending.startswith("fail") else JobState.DONE
        job.cancelling, job.holder = False, None

    def _act(self, process: _Process, ending: str, progress: Progress) -> str:
        if ending == "stop":
            process.worker.stop()
            process.restart()
        if ending in {"stop", "check"}:
            progress.check()
        if ending == "fail":
            raise StorageError
        if ending == "fail for good":
            raise JobError("It cannot be.")
        return "Done."
