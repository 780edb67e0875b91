"""The runner of a fleet: procrastinate's worker, in an event loop of one thread.

procrastinate says which task is run, when, and by whom; it notices workers that have died, and
keeps the beat of what is done again and again.  A task takes its job and runs the handler in a
thread.  What becomes of the job is written to its row first, and to the task afterwards, so that a
death between the two costs a look at a row, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.jobs import Job as Task, Status

from repocore.config import Settings
from repocore.logs import noted
from repocore.model import Event, Job
from repocore.plugins.procrastinate.database import connection_options
from repocore.plugins.procrastinate.queue import TASK, Queue, queue_of
from repocore.registry import Registry, Worker

__all__ = ["ProcrastinateRunner"]

_log = logging.getLogger(__name__)

#: The task, and the queue, of what is done again and again; before any job.
_TEND: Final = "repocore.tend"
_FIRST: Final = 32_000
#: Seconds that a running job gets to come to its next check when the process ends.
_GRACE: Final = 10.0
#: Seconds between two looks whether to end.
_LOOK: Final = 0.1
#: Seconds between two looks for tasks that have become due, at least.
_OFTEN: Final = 0.05
#: Seconds until a worker begins anew whose database was away.
_PAUSE: Final = 1.0
#: Connections that are open beside the one that listens.
_CONNECTIONS: Final = 2


class _Later(Exception):  # noqa: N818 - it is no error
    """The job is to be run then, and by this task."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__(f"in {delay.total_seconds():g} s")
        self.delay = delay


class _Patience(BaseRetryStrategy):
    """A task that was not the end of its job comes again: how often is for the job's row to say."""

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease

    def get_retry_decision(self, *, exception: BaseException, job: Task) -> RetryDecision:
        """When it was told to, and after a lease where it could not tell what became of the job."""
        delay = exception.delay if isinstance(exception, _Later) else self._lease
        return RetryDecision(retry_at=datetime.now(UTC) + delay)


class ProcrastinateRunner:
    """Runs jobs of some kinds, or of all, so many at a time.

    Raises `ConfigurationError` for a kind that no plugin brings.
    """

    def __init__(self, registry: Registry, count: int, kinds: Iterable[str] | None = None) -> None:
        chosen = None if kinds is None else list(kinds)
        self._worker: Worker = registry.worker(chosen)
        self._settings: Settings = registry.settings
        self._queues = [queue_of(kind) for kind in chosen or _kinds(registry)]
        self._count = count
        self._handover = self._worker.handover(Queue())
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._lock = threading.Lock()
        self._attempts = 0

    def submit(self, emit: Callable[[Event], None], job: Job) -> None:
        """Nothing to do: the row says that it is to be handed over."""

    def wake(self) -> None:
        """Hand over now."""
        self._handover.wake()

    def run(self, until: Callable[[], bool]) -> None:
        """Run jobs until then; what runs has some seconds then to come to its next check."""
        self._ended.clear()
        try:
            if self._settings.read_only:
                while not (until() or self._stopped.wait(_LOOK)):
                    pass
                return
            self._handover.start()
            # Asked after it was noted that this runs: whoever closes waits, or was first.
            if self._count and not self._stopped.is_set():
                asyncio.run(self._run(until))
        finally:
            self._ended.set()

    def drain(self) -> int:
        """Run, here, what is due; returns the number of attempts."""
        if self._settings.read_only:
            return 0
        first, before = self._attempts, -1
        self._handover.tend()
        while before != self._attempts:
            before = self._attempts
            self._handover.flush()
            asyncio.run(self._work(wait=False))
        return self._attempts - first

    def cancel(self, number: int) -> None:
        """Tell the job, if it runs here; elsewhere its row tells it, and the queue forgets it."""
        self._worker.cancel(number)
        self._handover.wake()

    def close(self) -> None:
        """Hand over what is left, and end; a job that comes to no check is left to its lease."""
        self._stopped.set()
        if not self._ended.wait(_GRACE + _PAUSE):
            _log.warning("the queue's worker does not end; its jobs are left to their leases")
        self._worker.stop()
        self._handover.close()

    # ------------------------------------------------------------------------------ the worker

    async def _run(self, until: Callable[[], bool]) -> None:
        """Have procrastinate work until then; anew, where it has given up."""
        ending = asyncio.create_task(self._end(until))
        while not ending.done():
            working = asyncio.create_task(self._work(wait=True))
            await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                # It takes no more first, or what is put back would be taken again, here.
                working.cancel()
                self._worker.stop()
            try:
                await working
            except asyncio.CancelledError:
                return
            except Exception:  # noqa: BLE001 - the database may be back at the next time
                _log.exception("the queue does not answer; trying again")
            await asyncio.wait((ending,), timeout=_PAUSE)

    async def _end(self, until: Callable[[], bool]) -> None:
        while not (until() or self._stopped.is_set()):  # noqa: ASYNC110 - asked of whoever calls us
            await asyncio.sleep(_LOOK)

    async def _work(self, *, wait: bool) -> None:
        pooled = self._settings.postgres.transaction_pooling
        lease = self._settings.jobs.lease.total_seconds()
        often = max(self._settings.jobs.interval.total_seconds(), _OFTEN)
        app = self._app()
        try:
            await app.open_async()
            with self._handover.present():
                await app.run_worker_async(
                    queues=[*self._queues, _TEND],
                    concurrency=max(self._count, 1),
                    wait=wait,
                    fetch_job_polling_interval=often,
                    shutdown_graceful_timeout=_GRACE if wait else threading.TIMEOUT_MAX,
                    # Whoever is lent a connection for a transaction cannot listen.
                    listen_notify=not pooled,
                    # What has ended stands in our rows.
                    delete_jobs="always",
                    install_signal_handlers=False,
                    update_heartbeat_interval=lease / 4,
                    stalled_worker_timeout=lease,
                )
        finally:
            # Also a pool that was being opened: it would go on trying for ever.
            await app.close_async()

    def _app(self) -> App:
        """procrastinate, with its two tasks."""
        connector = PsycopgConnector(
            kwargs=connection_options(self._settings), min_size=1, max_size=_CONNECTIONS
        )
        app = App(connector=connector)
        patience = _Patience(self._settings.jobs.lease)
        app.task(name=TASK, pass_context=True, retry=patience)(self._job)
        tend = app.task(name=_TEND, pass_context=True, queue=_TEND)(self._tend)
        app.periodic_registry.register_task(
            task=tend,
            cron=f"* * * * * */{self._beat()}",
            periodic_id="",
            configure_kwargs={"queueing_lock": _TEND, "priority": _FIRST},
        )
        return app

    def _beat(self) -> int:
        """Seconds between two times that schedules and the dead are looked after."""
        often = [self._settings.jobs.lease / 2, timedelta(minutes=1)]
        often += [one.every for one in self._settings.schedule if one.every is not None]
        return max(1, min(59, int(min(often).total_seconds())))

    # ------------------------------------------------------------------------------- its tasks

    async def _tend(self, context: JobContext, timestamp: int) -> None:
        """Queue what schedules want, and again what was begun by workers that are dead."""
        manager, lease = context.app.job_manager, self._settings.jobs.lease.total_seconds()
        for task in await manager.get_stalled_jobs(seconds_since_heartbeat=lease):
            if task.task_name == TASK:
                await manager.retry_job(task, retry_at=datetime.now(UTC))
            else:
                await manager.finish_job(task, Status.FAILED, delete_job=True)
        await asyncio.to_thread(self._handover.tend)

    async def _job(self, context: JobContext, job: int) -> None:
        """Run the job in a thread that nobody has to wait for when the process ends."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[timedelta | None] = loop.create_future()

        def tell(delay: timedelta | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(delay)
            else:
                done.set_exception(error)

        def work() -> None:
            delay, error = None, None
            try:
                delay = self._attempt(job, int(context.job.id or 0))
            except BaseException as raised:  # noqa: BLE001 - told to the loop
                error = raised
            # Nobody waits any more where the loop has ended.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, delay, error)

        threading.Thread(target=work, name=f"repocore-job-{job}", daemon=True).start()
        delay = await done
        if delay is not None:
            raise _Later(delay)

    def _attempt(self, number: int, task: int) -> timedelta | None:
        """One attempt, if there is one to make; how long until the task is to come again."""
        with noted(job_id=number):
            found = self._handover.take(number, task)
            if found is None or isinstance(found, timedelta):
                return found
            with self._lock:
                self._attempts += 1
            ended = self._worker.run(found)
            return None if ended else self._handover.wait(number, task)


def _kinds(registry: Registry) -> list[str]:
    return list(registry.session(registry.admin()).jobs.kinds())
