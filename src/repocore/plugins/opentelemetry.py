"""Spans for OpenTelemetry: sent to the collector that ``[tracing] endpoint`` names, and to nobody
where none is named; then nothing of OpenTelemetry is even imported.

An application that has a provider of its own hands it over as a plugin:

    class Ours:
        @hookimpl
        def repocore_tracer(self):
            return OpenTelemetryTracer(lambda: provider)

No attribute holds a secret: texts are redacted as lines of logs are, and of an error its kind is
told, never its words.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from repocore.config import Settings, TracingSettings
from repocore.errors import ConfigurationError
from repocore.logs import redact
from repocore.markers import hookimpl
from repocore.ports import SpanKind

__all__ = ["OpenTelemetryTracer", "repocore_tracer"]

_NEEDED: Final = ("sdk.trace", "exporter.otlp.proto.http")
_PATH: Final = "/v1/traces"
#: Seconds that a collector has to take some spans, and all that are left when we end.
_PATIENCE: Final = 5
_TEXT: Final = 500
# W3C Trace Context: version, trace, span, flags; a later version may say more behind them.
_PARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@hookimpl
def repocore_tracer(settings: Settings) -> OpenTelemetryTracer | None:
    """Send them, where the settings name a collector.

    Raises `ConfigurationError` where the packages are missing.
    """
    wanted = settings.tracing
    if wanted.endpoint is None:
        return None
    # Looked for and not imported: a command that begins no span need not wait for them.
    try:
        found = [importlib.util.find_spec(f"opentelemetry.{part}") for part in _NEEDED]
    except ImportError:
        found = [None]
    if None in found:
        message = "`tracing.endpoint` needs OpenTelemetry; pip install 'repocore[tracing]'."
        raise ConfigurationError(message)
    return OpenTelemetryTracer(lambda: _provider(wanted), close=lambda made: made.shutdown())


class OpenTelemetryTracer:
    """Takes spans by a provider, which is made with the first span of a process.

    So a server may open a registry before it forks: the threads of an exporter begin afterwards.
    ``close`` is called with each provider that was made in this process.
    """

    def __init__(
        self, make: Callable[[], Any], close: Callable[[Any], object] | None = None
    ) -> None:
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._made: tuple[int, Any, Any] | None = None
        self._closed = False

    @cached_property
    def _api(self) -> Any:
        return importlib.import_module("opentelemetry.trace")

    @cached_property
    def _kinds(self) -> dict[SpanKind, Any]:
        return {kind: self._api.SpanKind[kind.name] for kind in SpanKind}

    def start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str | float | bool],
        parent: str | None = None,
        /,
    ) -> _Span:
        """Begin a span."""
        context = None if parent is None else self._context(parent)
        told = {key: _told(value) for key, value in attributes.items()}
        made = self._tracer().start_span(name, context, self._kinds[kind], told)
        return _Span(made, self._api)

    def use(self, span: _Span, /) -> AbstractContextManager[object]:
        """Have what begins in the block be below it."""
        # What is raised would be written down by its words.
        return self._api.use_span(
            span.made, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    def active(self) -> bool:
        """Whether a span is in use that is taken."""
        return self._made is not None and self._api.get_current_span().is_recording()

    def traceparent(self) -> str | None:
        """The span in use, for another server."""
        if self._made is None:
            return None
        context = self._api.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"

    def close(self) -> None:
        """Send what is left, for some seconds; idempotent."""
        with self._lock:
            made, self._made, self._closed = self._made, None, True
        if made is None or made[0] != os.getpid() or self._close is None:
            return
        # A collector that does not answer holds up nobody's end.
        closing = threading.Thread(
            target=self._close, args=(made[1],), name="repocore-tracing", daemon=True
        )
        closing.start()
        closing.join(_PATIENCE)

    def _tracer(self) -> Any:
        made = self._made
        if made is None or made[0] != os.getpid():
            with self._lock:
                made = self._made
                if made is None or made[0] != os.getpid():
                    made = self._begun()
        return made[2]

    def _begun(self) -> tuple[int, Any, Any]:
        # Whoever is late is not taken any more.
        provider = self._api.NoOpTracerProvider() if self._closed else self._make()
        made = (os.getpid(), provider, provider.get_tracer("repocore", version("repocore")))
        if not self._closed:
            self._made = made
        return made

    def _context(self, parent: str) -> Any:
        found = _PARENT.match(parent)
        if found is None:
            return None
        trace, span, flags = (int(part, 16) for part in found.groups())
        context = self._api.SpanContext(
            trace, span, is_remote=True, trace_flags=self._api.TraceFlags(flags & 1)
        )
        return self._api.set_span_in_context(self._api.NonRecordingSpan(context))


class _Span:
    """A span of OpenTelemetry."""

    __slots__ = ("_api", "made")

    def __init__(self, made: Any, api: Any) -> None:
        self.made = made
        self._api = api

    @property
    def trace_id(self) -> str:
        context = self.made.get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else ""

    def rename(self, name: str, /) -> None:
        self.made.update_name(name)

    def set(self, name: str, value: str | float | bool, /) -> None:  # noqa: FBT001 - a value
        self.made.set_attribute(name, _told(value))

    def fail(self, kind: str, /) -> None:
        self.made.set_attribute("error.type", kind)
        self.made.set_status(self._api.StatusCode.ERROR)

    def end(self) -> None:
        self.made.end()


def _told(value: str | float | bool) -> str | float | bool:  # noqa: FBT001 - a value
    return redact(value[:_TEXT]) if isinstance(value, str) else value


def _provider(settings: TracingSettings) -> Any:
    """A provider of our own: that of the process is the application's."""
    sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
    export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
    sampling: Any = importlib.import_module("opentelemetry.sdk.trace.sampling")
    resources: Any = importlib.import_module("opentelemetry.sdk.resources")
    otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    resource = resources.Resource.create(
        {
            "service.name": settings.service_name,
            "service.version": version("repocore"),
            "process.pid": os.getpid(),
        }
    )
    provider = sdk.TracerProvider(
        resource=resource,
        sampler=sampling.ParentBased(sampling.TraceIdRatioBased(settings.sample)),
        shutdown_on_exit=False,
    )
    exporter = otlp.OTLPSpanExporter(
        endpoint=_endpoint(str(settings.endpoint)),
        headers={name.lower(): str(value) for name, value in settings.headers.items()},
        timeout=_PATIENCE,
    )
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return provider


def _endpoint(url: str) -> str:
    """Where below its address a collector takes spans by OTLP; a path that is given stays."""
    return url if urlsplit(url).path.strip("/") else url.rstrip("/") + _PATH
