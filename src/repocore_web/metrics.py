"""``/metrics``: what a process does, in the text format of Prometheus.

Labels are bounded: a route is its template, never a path, and no label names a repository, a
package or a person.  Several processes of a server are told of as one where
``PROMETHEUS_MULTIPROC_DIR`` names a folder, as `repocore serve` sees to.
"""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from repocore.errors import ConfigurationError, StorageError
from repocore.http import Request, Response, Route
from repocore.model import Action, Resource
from repocore.registry import Registry, ReplicaStatus, Session
from repocore_web.forwarding import Peers
from repocore_web.routing import route_label

__all__ = ["NUMBERS", "ROUTE", "Metrics"]

#: Where the application notes which route an environ has met.
ROUTE: Final = "repocore.route"
#: The variable that names the folder in which several processes write their numbers.
NUMBERS: Final = "PROMETHEUS_MULTIPROC_DIR"
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"})
#: Seconds.
_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0)


class Metrics:
    """Counts the requests of an application, and tells of them.

    Raises `ConfigurationError` where prometheus-client is not installed.
    """

    def __init__(self, registry: Registry) -> None:
        client = self._client = _package()
        self._peers = Peers(registry.settings.web.metrics_from, "web.metrics_from")
        self._own = client.CollectorRegistry()
        self._requests = client.Counter(
            "repocore_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._own,
        )
        self._seconds = client.Histogram(
            "repocore_request_seconds",
            "Time until an answer began.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._own,
        )
        self._bytes = client.Counter(
            "repocore_response_bytes",
            "Bytes of bodies, as answers announced them.",
            ("route",),
            registry=self._own,
        )
        self._open = client.Gauge(
            "repocore_requests_open",
            "Requests that are being answered.",
            registry=self._own,
            multiprocess_mode="livesum",
        )
        self._house = _House(client, registry)

    def watch(
        self, serve: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Have a request served, and count it."""
        told = _Told(start_response)
        begun = time.perf_counter()
        self._open.inc()
        try:
            return serve(environ, told)
        finally:
            self._open.dec()
            method = environ["REQUEST_METHOD"]
            met: Route[Session] | None = environ.get(ROUTE)
            route = "none" if met is None else route_label(met)
            self._requests.labels(
                method if method in _METHODS else "other", route, told.status
            ).inc()
            self._seconds.labels(route).observe(time.perf_counter() - begun)
            if told.length and method != "HEAD":
                self._bytes.labels(route).inc(told.length)

    def answer(self, session: Session, _request: Request) -> Response:
        """Tell of the requests, the jobs and the events, as Prometheus reads it; to the addresses
        of ``web.metrics_from``, and to whoever administers the site.
        """
        if not self._peers.include(session.source):
            session.require(Action.ADMIN, Resource())
        told = self._client.CollectorRegistry()
        if os.environ.get(NUMBERS):
            self._client.multiprocess.MultiProcessCollector(told)
        else:
            told.register(self._own)
        told.register(self._house)
        kind = ("Content-Type", self._client.CONTENT_TYPE_LATEST)
        return Response(200, self._client.generate_latest(told), (kind,))

    def routes(self) -> Iterator[Route[Session]]:
        """One, of the site."""
        yield Route(
            method="GET",
            template="/metrics",
            handler=self.answer,
            summary="Tell of the requests, the jobs and the events, as Prometheus reads it.",
            permission=Action.ADMIN,
        )


class _Told:
    """Notes what an answer says at its start."""

    __slots__ = ("_start_response", "length", "status")

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self.status = "500"
        self.length = 0

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        self.status = status[:3]
        self.length = next((int(v) for k, v in headers if k.lower() == "content-length"), 0)
        return self._start_response(status, headers, exc_info)


class _House:
    """What all processes share: asked of the catalog whenever somebody looks."""

    def __init__(self, client: Any, registry: Registry) -> None:
        self._client = client
        self._registry = registry

    def collect(self) -> Iterator[Any]:
        # Without a catalog the numbers of requests are wanted more than ever.
        if not self._registry.health().catalog:
            return
        registry, family = self._registry, self._client.core.GaugeMetricFamily
        try:
            backlog = registry.session(registry.admin()).statistics.backlog()
        except StorageError:
            return
        jobs = family("repocore_jobs", "Jobs that have not ended.", labels=["state"])
        for state, count in backlog.jobs.items():
            jobs.add_metric([state.value], count)
        yield jobs
        yield family(
            "repocore_job_wait_seconds",
            "How long the job has waited that is due longest.",
            value=backlog.wait.total_seconds(),
        )
        yield family(
            "repocore_events_pending",
            "Events that listeners have not been told of.",
            value=backlog.events,
        )
        if registry.following:
            yield from self._replica(family)

    def _replica(self, family: Any) -> Iterator[Any]:
        """How far a replica is behind, as of its last look."""
        registry = self._registry
        found = registry.session(registry.admin()).replica.status(ask=False)
        for name, text, value in (
            ("behind_seconds", "Since when nothing was behind.", _behind(found)),
            ("behind_records", "Changes that were not here at the last look.", found.records),
            ("behind_partitions", "Partitions that were not even at it.", found.partitions),
            ("behind_serials", "How many serials they lacked.", found.serials),
            ("missing_contents", "Contents that files name and nobody has.", found.missing),
            ("failing", "Whether the last look failed.", int(bool(found.error))),
        ):
            yield family(f"repocore_replica_{name}", text, value=value)


def _behind(found: ReplicaStatus) -> float:
    return math.inf if found.synced_at is None else found.behind.total_seconds()


def _package() -> Any:
    try:
        # Needed only where the settings want it.
        client = importlib.import_module("prometheus_client")
        for part in ("core", "multiprocess"):
            importlib.import_module(f"prometheus_client.{part}")
    except ImportError as error:
        message = "`web.metrics` needs prometheus-client; pip install 'repocore[server]'."
        raise ConfigurationError(message) from error
    return client
