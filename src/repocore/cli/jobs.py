"""``job`` and ``worker``."""

from __future__ import annotations

import json
import signal
import threading
import time
from datetime import datetime
from typing import Any, Final

import click

from repocore.cli.output import State, command, command_group, plain, printable, show, table
from repocore.logs import configure_logging
from repocore.model import Job, JobState
from repocore.ports import JobRunner
from repocore.registry import Registry, Session

__all__ = ["COMMANDS", "cancel", "job", "list_", "log", "retry", "run", "show_", "worker"]

#: Seconds between two looks at a job that is followed.
_LOOK: Final = 0.5
_NUMBER: Final = click.IntRange(min=1)


@command_group
def job() -> None:
    """Show, start, cancel and repeat background work."""


@command("list")
@click.option(
    "--state", "wanted", type=click.Choice([one.value for one in JobState]), help="Only these."
)
@click.option("--kind", help="Only those of a kind.")
@click.option("--limit", type=_NUMBER, default=50, show_default=True, help="So many at most.")
def list_(state: State, wanted: str | None, kind: str | None, limit: int) -> None:
    """List jobs, the newest first."""
    chosen = None if wanted is None else JobState(wanted)
    with state.session() as session:
        found = list(session.jobs.list(state=chosen, kind=kind, limit=limit))
    rows = [
        (one.id, one.kind, _state(one), _progress(one), _when(one.created_at), one.created_by)
        for one in found
    ]
    headings = ("JOB", "KIND", "STATE", "PROGRESS", "CREATED", "BY")
    show(state, found, table(headings, rows))


@command("show")
@click.argument("number", type=_NUMBER)
def show_(state: State, number: int) -> None:
    """Show all that is known of a job."""
    with state.session() as session:
        _show(state, session.jobs.get(number))


@command()
@click.argument("number", type=_NUMBER)
def cancel(state: State, number: int) -> None:
    """Cancel a job: a queued one at once, a running one as soon as it can be ended."""
    with state.session() as session:
        before = session.jobs.get(number)
        _show(state, session.jobs.cancel(number))
    if before.state.ended:
        click.echo(f"Job {number} had ended before: {before.state.value}.", err=True)


@command()
@click.argument("kind")
@click.option("--payload", default="{}", help="What the job is told: an object of JSON.")
@click.option("--key", help="One job of a kind and key is queued at most.")
@click.option("--priority", type=int, default=0, help="The highest goes first.")
@click.option("--wait", is_flag=True, help="Follow its output until it ends; 1 if it fails.")
def run(state: State, kind: str, payload: str, *, wait: bool, **more: Any) -> None:
    """Queue a job: retention, gc, check, or what a plugin brings."""
    with state.session() as session:
        queued = session.jobs.submit(kind, _payload(payload), **more)
        _followed(state, session, queued, wait=wait)


@command()
@click.argument("number", type=_NUMBER)
@click.option("--wait", is_flag=True, help="Follow its output until it ends; 1 if it fails.")
def retry(state: State, number: int, *, wait: bool) -> None:
    """Do a job again that has ended; start one now that waits for its next attempt."""
    with state.session() as session:
        _followed(state, session, session.jobs.retry(number), wait=wait)


@command()
@click.argument("number", type=_NUMBER)
@click.option("--follow", is_flag=True, help="Go on until the job ends.")
def log(state: State, number: int, *, follow: bool) -> None:
    """Print what a job has written."""
    with state.session() as session:
        if state.as_json:
            if follow:
                session.jobs.wait(number)
            show(state, session.jobs.output(number), "")
        else:
            _print(session, number, follow=follow)


def _payload(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        message = "--payload takes an object of JSON, for example '{\"now\": true}'."
        raise click.UsageError(message)
    return value  # pyright: ignore[reportUnknownVariableType] - keys of JSON are texts


def _followed(state: State, session: Session, queued: Job, *, wait: bool) -> None:
    if not wait:
        _show(state, queued)
        return
    if not state.as_json:
        _print(session, queued.id, follow=True)
    ended = session.jobs.wait(queued.id)
    _show(state, ended)
    if ended.state is not JobState.DONE:
        click.get_current_context().exit(1)


def _print(session: Session, number: int, *, follow: bool) -> None:
    after = 0
    while True:
        # Asked before its output: what it wrote until its end is not missed.
        ended = session.jobs.get(number).state.ended
        written = session.jobs.output(number, after=after)
        after = written.after
        for line in written.text.splitlines():
            click.echo(printable(line))
        if ended or not follow:
            return
        time.sleep(_LOOK)


def _show(state: State, one: Job) -> None:
    rows = [
        ("job", one.id),
        ("kind", one.kind),
        ("state", _state(one)),
        ("payload", json.dumps(plain(one.payload), ensure_ascii=False)),
        ("key", one.key),
        ("attempt", f"{one.attempts} of {one.max_attempts}"),
        ("progress", _progress(one)),
        ("outcome", one.outcome),
        ("error", one.error),
        ("created", f"{_when(one.created_at)} by {one.created_by}"),
        ("not before", _when(one.run_after) if one.state is JobState.QUEUED else None),
        ("started", _when(one.started_at)),
        ("ended", _when(one.finished_at)),
    ]
    lines = [f"{name:<10}  {printable(value)}" for name, value in rows if value not in {None, ""}]
    # Not by `plain`: that leaves out fields called key, which elsewhere are internal.
    show(state, {**plain(one), "key": one.key}, "\n".join(lines))


def _state(one: Job) -> str:
    return "running, cancelling" if one.cancelling else one.state.value


def _progress(one: Job) -> str:
    progress = one.progress
    if not progress.message:
        return ""
    of = "" if progress.total is None else f" of {progress.total}"
    return f"{progress.message}: {progress.done}{of}"


def _when(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


# ---------------------------------------------------------------------------------------- worker


@command()
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    default=4,
    show_default=True,
    help="So many jobs at a time.",
)
@click.option("--kind", "kinds", multiple=True, help="Only jobs of this kind; may repeat.")
@click.option("--once", is_flag=True, help="End when no job is due.")
def worker(state: State, threads: int, kinds: tuple[str, ...], *, once: bool) -> None:
    """Run background work in this process until it is told to end.

    Any number may run, on any machine that reaches the catalog and the storage.
    """
    configure_logging(state.settings().logs, everything=True)
    with state.registry() as registry:
        runner = _runner(registry, threads, kinds)
        try:
            if once:
                count = runner.drain()
                show(state, {"attempts": count}, f"Ran {count} attempt{'' if count == 1 else 's'}.")
            else:
                ended = _told_to_end()
                told = {"threads": threads, "kinds": list(kinds)}
                show(state, told, f"Working with {threads} threads.")
                runner.run(ended.is_set)
        finally:
            runner.close()


def _runner(registry: Registry, threads: int, kinds: tuple[str, ...]) -> JobRunner:
    """As the settings name it, with so many threads here."""
    name = registry.settings.runner.partition(":")[0]
    return registry.plugins.hook.repocore_job_runner(
        registry=registry, url=f"{name}:{threads}", kinds=kinds or None
    )


def _told_to_end() -> threading.Event:
    """What a signal sets."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    return ended


for _command in (list_, show_, run, retry, cancel, log):
    job.add_command(_command)

COMMANDS = {"job": job, "worker": worker}
