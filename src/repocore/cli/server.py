"""gunicorn, embedded: its settings, its workers, and who opens and closes the registry in them.

Importing it needs the extra ``server``; so ``serve`` does that when it runs.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import socket
from collections.abc import Callable
from ctypes import c_bool
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, cast

import attrs
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError

from repocore.cli.logs import Logger
from repocore.cli.reopening import Reopening
from repocore.cli.trial import try_with_application
from repocore.config import Settings
from repocore.errors import ConfigurationError, RepocoreError
from repocore.logs import configure_logging
from repocore.plugin_manager import open_registry
from repocore.registry import Registry, plan_migration
from repocore_web import create_app
from repocore_web.metrics import NUMBERS

__all__ = ["Server", "ServerOptions"]

_log = logging.getLogger(__name__)

#: Seconds in which a client that is in the middle of a request has to send or take something.
STALLED: Final = 120
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - for heartbeats: a disk would stop them


@attrs.frozen(kw_only=True)
class ServerOptions:
    """How many answer, and where it is written down."""

    workers: int
    threads: int
    access_log: bool

    def shown(self, settings: Settings) -> Settings:
        """The settings, with a line a request where the command wants them."""
        if not self.access_log or settings.logs.access:
            return settings
        return attrs.evolve(settings, logs=attrs.evolve(settings.logs, access=True))


class _Arbiter(Arbiter):
    """The master process; SIGHUP replaces its workers where the new settings are good."""

    def handle_hup(self) -> None:
        """Read the settings anew, and have new workers serve by them."""
        if cast("Server", self.app).renew():
            super().handle_hup()


class Server(BaseApplication):
    """Bound sockets, served by workers that each open the registry after they were forked."""

    def __init__(
        self,
        listeners: list[socket.socket],
        options: ServerOptions,
        read_settings: Callable[[], Settings],
        ready: Callable[[], None],
    ) -> None:
        self._listeners = listeners
        self._options = options
        self._read_settings = lambda: options.shown(read_settings())
        self._current = self._read_settings()
        self._ready = ready
        self._registry: Registry | None = None
        self._reopening: Reopening | None = None
        #: Whether any worker has opened the registry: then it can be opened, sooner or later.
        self._served = RawValue(c_bool, False)
        # gunicorn takes the descriptors over, and reads its settings again when it is told to.
        self._binds = [f"fd://{listener.detach()}" for listener in listeners]
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from the defaults; no file and no variable of gunicorn's is read."""
        known: dict[str, Any] = self.cfg.settings
        for name, value in self._settings().items():
            if name in known:  # a release may lack one
                self.cfg.set(name, value)

    def _settings(self) -> dict[str, Any]:
        shared = _shared_memory()
        return {
            "bind": self._binds,
            "worker_class": "gthread",
            "workers": self._options.workers,
            "threads": self._options.threads,
            "keepalive": 75,
            # The heart of a worker beats apart from its requests: a slow upload cannot stop it.
            "timeout": 60,
            "graceful_timeout": 30,
            "worker_tmp_dir": shared,
            "limit_request_line": 8190,
            "limit_request_fields": 100,
            "limit_request_field_size": 8190,
            # Scheme, host and path are what the connection says; the settings of repocore alone
            # tell which proxies are believed when they say otherwise.
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "forwarder_headers": "",
            "proc_name": "repocore",
            "logger_class": Logger,
            # The application writes a line a request, where it is wanted.
            "accesslog": None,
            "control_socket_disable": True,
            "when_ready": self._when_ready,
            "pre_request": _pre_request,
            "worker_exit": self._worker_exit,
            "child_exit": _child_exit,
        }

    def run(self) -> None:
        """Serve until somebody ends it.  The workers' numbers for ``/metrics`` lie in a folder that
        is gone afterwards.
        """
        folder, master = mkdtemp(prefix="repocore-metrics-", dir=_shared_memory()), os.getpid()
        os.environ[NUMBERS] = folder
        try:
            _Arbiter(self).run()
        except RuntimeError as error:  # a socket or a worker cannot be made
            raise ConfigurationError(f"The server cannot go on: {error}") from error
        finally:
            # Workers are forked within, and leave by the same way.
            if os.getpid() == master:
                shutil.rmtree(folder, ignore_errors=True)

    def renew(self) -> bool:
        """Read the settings anew; False where they are not good: then those before stay in force,
        all of them, also for workers that start later.
        """
        try:
            settings = self._read_settings()
            try_with_application(settings)
            _require_catalog(settings)
        except (RepocoreError, OSError) as error:
            _log.error("the new settings are not taken over: %s", error)
            return False
        self._current = settings
        configure_logging(settings.logs, everything=True)
        _log.warning("the settings were read anew; workers are replaced one after the other")
        return True

    def load(self) -> Any:
        """The application of this worker."""
        try:
            return self._open()
        except RepocoreError as error:
            if not self._served.value:
                raise AppImportError(f"Error: {error}") from error
            # One that starts later takes the place of another: the server goes on.
            _log.error("the registry does not open: %s", error)
            self._reopening = Reopening(self._open)
            return self._reopening

    def _open(self) -> Any:
        registry = open_registry(settings=self._current)
        try:
            registry.run_jobs()
            application = create_app(registry)
        except BaseException:
            registry.close()
            raise
        self._registry = registry
        self._served.value = True
        return application

    def _when_ready(self, _arbiter: object) -> None:
        self._ready()

    def _worker_exit(self, _arbiter: object, _worker: object) -> None:
        if self._reopening is not None:
            self._reopening.close()
        if self._registry is not None:
            self._registry.close()


def _require_catalog(settings: Settings) -> None:
    """Raise `ConfigurationError` unless the catalog answers, and has what a server serves."""
    if plan_migration(settings).revision is None:
        message = (
            "The catalog of the new settings is empty. To move there, copy it with `repocore "
            "catalog copy`; to begin anew, end the server and start another."
        )
        raise ConfigurationError(message)


def _shared_memory() -> str | None:
    return str(_SHARED_MEMORY) if os.access(_SHARED_MEMORY, os.W_OK) else None


def _child_exit(_arbiter: object, worker: Any) -> None:
    """What a worker was doing counts no more; what it has done still does."""
    if any(Path(os.environ[NUMBERS]).iterdir()):
        # An extra package; it was needed to write what is there.
        importlib.import_module("prometheus_client.multiprocess").mark_process_dead(worker.pid)


def _pre_request(_worker: object, request: Any) -> None:
    """Give a client that stalls in the middle of a request an end; its thread serves others."""
    connection = getattr(getattr(request, "unreader", None), "sock", None)
    if isinstance(connection, socket.socket):
        connection.settimeout(STALLED)
