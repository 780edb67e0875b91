"""``doctor``: what would go wrong, or does already, and what to do about it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import click

from repocore.cli.output import State, command, printable, show, table
from repocore.cli.trial import try_with_application
from repocore.config import Settings, locate_settings
from repocore.errors import RepocoreError
from repocore.model import Action, Resource
from repocore.plugin_manager import open_registry
from repocore.registry import Registry

__all__ = ["COMMANDS", "Finding", "doctor"]

_OK: Final = "ok"
_WARNING: Final = "warning"
_FAILED: Final = "FAILED"

#: A disk with less than both is nearly full: a share of it, and bytes.
_SHARE: Final = 0.05
_LEAST: Final = 2 << 30
_LONG: Final = timedelta(minutes=15)
_MANY: Final = 1000
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@attrs.frozen
class Finding:
    """What was looked at, how it is, and what that means."""

    part: str
    state: str
    said: str


@command()
def doctor(state: State) -> None:
    """Look for what would go wrong: settings, names, disk, database, jobs, who may what.

    Nothing is changed. Exits 1 where something fails; a warning is for you to judge.
    """
    findings = list(_examine(state))
    rows = [(one.state, one.part, printable(one.said)) for one in findings]
    failed = any(one.state == _FAILED for one in findings)
    value: dict[str, Any] = {"ok": not failed, "findings": findings}
    show(state, value, table(("", "PART", ""), rows))
    if failed:
        click.get_current_context().exit(1)


def _examine(state: State) -> Iterator[Finding]:
    try:
        settings = state.settings()
        try_with_application(settings)
    except RepocoreError as error:
        yield Finding("settings", _FAILED, str(error))
        return
    yield Finding("settings", _OK, "a registry opens with them")
    yield from _files(state, settings)
    yield from _address(settings)
    if not state.made():
        yield Finding("installation", _WARNING, "there is none yet; `repocore init` makes it")
        return
    yield _disk(settings)
    try:
        # So that what the settings would make is not made by looking.
        looking = attrs.evolve(settings, read_only=True, migrate_at_start=False)
        with open_registry(settings=looking) as registry:
            yield from _registry(registry)
    except RepocoreError as error:
        yield Finding("installation", _FAILED, str(error))


def _files(state: State, settings: Settings) -> Iterator[Finding]:
    """Files with secrets that others on this machine can read."""
    config = locate_settings(data=state.data, config=state.config, environ=os.environ)
    found = [path for path in (config, settings.data / "catalog.db") if path and path.exists()]
    for path in found:
        if stat.S_IMODE(path.stat().st_mode) & (stat.S_IROTH | stat.S_IWOTH):
            said = f"everybody on this machine can read it; chmod 600 {path}"
            yield Finding(Path(path).name, _WARNING, said)


def _address(settings: Settings) -> Iterator[Finding]:
    url = settings.web.public_url
    if url and url.startswith("http://") and urlsplit(url).hostname not in _LOCAL:
        said = "passwords and tokens travel in the clear; put a server with TLS in front"
        yield Finding("web.public_url", _WARNING, said)


def _disk(settings: Settings) -> Finding:
    usage = shutil.disk_usage(settings.data)
    free = f"{usage.free / (1 << 30):.1f} GiB are free"
    if usage.free < _LEAST and usage.free < usage.total * _SHARE:
        said = f"{free}; `repocore gc` and `repocore retention run` make room"
        return Finding("disk", _WARNING, said)
    return Finding("disk", _OK, free)


def _registry(registry: Registry) -> Iterator[Finding]:
    health = registry.health()
    for part, good in (("catalog", health.catalog), ("storage", health.storage)):
        said = "it answers" if good else "it does not answer; its reason stands above"
        yield Finding(part, _OK if good else _FAILED, said)
    if not health.catalog:
        return
    for doubt in registry.doubts():
        place, _, said = doubt.partition(": ")
        yield Finding(place, _WARNING, said)
    yield from _backlog(registry)
    # Who administers a replica is its primary's to say.
    yield from _followed(registry) if registry.following else _owners(registry)


def _backlog(registry: Registry) -> Iterator[Finding]:
    backlog = registry.session(registry.admin()).statistics.backlog()
    if backlog.wait > _LONG:
        said = f"a job has been due for {backlog.wait}; does a server or `repocore worker` run?"
        yield Finding("jobs", _WARNING, said)
    else:
        yield Finding("jobs", _OK, f"{sum(backlog.jobs.values())} have not ended")
    if backlog.events > _MANY:
        said = f"{backlog.events} wait; a listener fails, see the log of the server"
        yield Finding("events", _WARNING, said)


def _followed(registry: Registry) -> Iterator[Finding]:
    """How far a replica is behind; the primary is asked."""
    found = registry.session(registry.admin()).replica.status()
    if found.error:
        yield Finding("replica", _FAILED, found.error)
    elif found.ok:
        yield Finding("replica", _OK, "it is even with its primary")
    else:
        behind = f"it lacks {found.records} changes" if found.whole else "its copy is not through"
        said = f"{behind}; a server takes them over, or `repocore replica sync`"
        yield Finding("replica", _WARNING, said)


def _owners(registry: Registry) -> Iterator[Finding]:
    """Whether somebody administers the site, and not everybody."""
    holders = registry.session(registry.admin()).permissions.who(Resource())
    names = (holder.name for holder in holders if Action.ADMIN in holder.actions)
    first = next(names, None)
    if first == "anonymous":
        said = "whoever has not signed in may do everything; `repocore rule list` shows why"
        yield Finding("administrators", _FAILED, said)
    elif first is None:
        said = "nobody is one over HTTP; `repocore role bind owner user:NAME` makes one"
        yield Finding("administrators", _WARNING, said)
    else:
        yield Finding("administrators", _OK, f"{first} is one")


COMMANDS = {"doctor": doctor}
