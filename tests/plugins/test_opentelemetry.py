"""Spans as OpenTelemetry has them: in memory, and sent to a collector on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import pytest
from wsgi_calls import call

import repocore
from repocore.config import LogSettings, Settings, TracingSettings, WebSettings
from repocore.errors import ConfigurationError
from repocore.http import Admits, Response, Route
from repocore.logs import ContextFilter
from repocore.plugins import opentelemetry as plugin
from repocore.plugins.opentelemetry import OpenTelemetryTracer
from repocore.ports import JobHandler, SpanKind
from repocore_web import create_app

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

PROXY = "192.0.2.1"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WEB = WebSettings(trusted_proxies=(PROXY,))


class Memory:
    """A host application's own provider, which keeps spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.error: Exception = ValueError("rpc-canary in the words of an error")

    @repocore.hookimpl
    def repocore_tracer(self):
        return OpenTelemetryTracer(lambda: self.provider)

    @repocore.hookimpl
    def repocore_jobs(self):
        return {"look": JobHandler(run=lambda *_: "Looked.", summary="Look.")}

    @repocore.hookimpl
    def repocore_routes(self):
        for name in ("fail", "stream"):
            yield Route(
                method="GET",
                template=f"/lab/{{what}}/{name}",
                handler=getattr(self, name),
                summary="",
                permission=Admits.ANYONE,
            )

    def fail(self, session, request):
        raise self.error

    def stream(self, session, request):
        def chunks():
            list(session.registry.session(session.registry.admin()).jobs.list())
            yield b"x"

        return Response(200, chunks(), ())

    @property
    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[Any]:
        return [one for one in self.spans if one.name == name]


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def registry(tmp_path, memory):
    settings = Settings(data=tmp_path / "data", web=WEB)
    with repocore.open_registry(settings=settings, plugins=(memory,)) as opened:
        opened.session(opened.admin()).repositories.create("conan/main")
        yield opened


@pytest.fixture
def app(registry):
    return create_app(registry)


def test_a_request_is_a_span_named_by_its_route(app, memory):
    """With the attributes of the semantic conventions; those of a client of no low number are
    values, not names.
    """
    answer = call(app, "/t/rpc-canary/lab/a%20b/fail?token=canary", HTTP_USER_AGENT="Conan/2")
    assert answer.status == 401
    answer = call(app, "/lab/a%20b/fail?token=canary", HTTP_USER_AGENT="Conan/2")
    assert answer.status == 500
    first, span = memory.named("GET /lab/{what}/fail")
    assert span.kind is trace.SpanKind.SERVER
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description is None
    assert span.events == ()
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 500,
        "http.route": "/lab/{what}/fail",
        "error.type": "500",
        "network.protocol.version": "1.1",
        "repocore.request_id": answer.headers["x-request-id"],
        "server.address": "server.example",
        "server.port": 80,
        "url.path": "/lab/a%20b/fail",
        "url.scheme": "http",
        "user_agent.original": "Conan/2",
    }
    assert first.attributes["url.path"] == "/t/***/lab/a%20b/fail"
    assert first.status.status_code is trace.StatusCode.UNSET
    assert "canary" not in str([one.to_json() for one in memory.spans])


def test_what_no_route_answers_has_the_name_of_its_method(app, memory):
    """Of which there are few, whatever clients send."""
    call(app, "/no/such/thing/at/all")
    call(app, "/healthz", "BREW-CANARY")
    call(app, "/healthz", SERVER_PORT="")
    first, second, third = memory.spans
    assert (first.name, second.name, third.name) == ("GET", "HTTP", "GET /healthz")
    assert second.attributes["http.request.method"] == "_OTHER"
    assert "server.port" not in third.attributes


def test_a_trusted_proxy_s_trace_goes_on(app, memory):
    """And nobody else's."""
    sent = {"HTTP_TRACEPARENT": f"00-{TRACE}-{PARENT}-01"}
    call(app, "/healthz", REMOTE_ADDR=PROXY, **sent)
    call(app, "/healthz", **sent)
    ours, other = memory.spans
    assert (f"{ours.context.trace_id:032x}", f"{ours.parent.span_id:016x}") == (TRACE, PARENT)
    assert ours.parent.is_remote
    assert other.parent is None


def test_what_a_proxy_does_not_trace_is_not_traced(registry, tmp_path, memory):
    """Our own share does not count then."""
    tracer = OpenTelemetryTracer(lambda: memory.provider)
    for flags in ("00", "01"):
        span = tracer.start("x", SpanKind.SERVER, {}, f"00-{TRACE}-{PARENT}-{flags}")
        with tracer.use(span):
            assert tracer.active() is (flags == "01")
            assert tracer.traceparent().startswith(f"00-{TRACE}-")
            assert tracer.traceparent().endswith(flags)
        span.end()
    assert len(memory.spans) == 1
    assert tracer.traceparent() is None
    assert tracer.start("x", SpanKind.SERVER, {}, "nonsense").made.parent is None


def test_transactions_are_below_the_request(registry, app, memory):
    """Also those of an answer that is made while it is sent."""
    assert call(app, "/lab/x/stream").status == 200
    [request] = memory.named("GET /lab/{what}/stream")
    [snapshot] = memory.named("catalog snapshot")
    assert snapshot.parent.span_id == request.context.span_id
    assert snapshot.end_time <= request.end_time
    assert snapshot.attributes["db.system.name"] == "sqlite"


def test_lines_and_traces_find_each_other(tmp_path, memory, caplog):
    """A line has the trace's id."""
    settings = Settings(data=tmp_path / "data", logs=LogSettings(access=True))
    seen = []
    caplog.handler.addFilter(ContextFilter())
    caplog.handler.addFilter(lambda record: seen.append(record.repocore_fields) or True)
    with (
        repocore.open_registry(settings=settings, plugins=(memory,)) as opened,
        caplog.at_level("INFO", "repocore.access"),
    ):
        call(create_app(opened), "/healthz")
    [span] = memory.spans
    [line] = [one for one in seen if "status" in one]
    assert line["trace_id"] == f"{span.context.trace_id:032x}"
    assert line["request_id"] == span.attributes["repocore.request_id"]


def test_a_job_is_a_span(registry, memory):
    """Of the kind that takes from a queue."""
    admin = registry.session(registry.admin())
    queued = admin.jobs.submit("look")
    registry.worker().work()
    [span] = memory.named("job look")
    assert span.kind is trace.SpanKind.CONSUMER
    assert span.attributes["repocore.job.id"] == queued.id
    assert span.attributes["repocore.job.state"] == "done"


def test_texts_are_redacted_and_cut(memory):
    """Whoever sets them."""
    tracer = OpenTelemetryTracer(lambda: memory.provider)
    span = tracer.start("x", SpanKind.INTERNAL, {"a": "see /t/rpc-canary/x", "n": 1})
    span.set("b", "x" * 10_000)
    span.set("c", "\x1b[2J")
    span.end()
    [made] = memory.spans
    assert dict(made.attributes) == {
        "a": "see /t/***/x",
        "n": 1,
        "b": "x" * 500,
        "c": "\\x1b[2J",
    }
    assert span.trace_id == f"{made.context.trace_id:032x}"


def test_an_application_s_provider_is_left_open(registry, memory):
    """It is the application's; what comes after the end is taken by nobody."""
    registry.close()
    with registry.tracing.span("late", root=True):
        pass
    assert memory.spans == []
    tracer = memory.provider.get_tracer("theirs")
    tracer.start_span("theirs").end()
    assert len(memory.spans) == 1


# ------------------------------------------------------------------------------------- collector


@attrs.define
class Collector:
    """What it has received."""

    url: str
    asked: list[tuple[str, dict[str, str]]] = attrs.field(factory=list)
    bodies: list[bytes] = attrs.field(factory=list)
    resources: list[dict[str, Any]] = attrs.field(factory=list)
    spans: list[Any] = attrs.field(factory=list)

    def take(self, path: str, fields: dict[str, str], body: bytes) -> None:
        self.asked.append((path, fields))
        self.bodies.append(body)
        for one in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {
                a.key: a.value.string_value or a.value.int_value for a in one.resource.attributes
            }
            for scope in one.scope_spans:
                for span in scope.spans:
                    self.resources.append(told)
                    self.spans.append(span)


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector that speaks OTLP over HTTP."""
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fields = {name.lower(): value for name, value in self.headers.items()}
            collector.take(self.path, fields, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def settings_of(folder, collector, **more) -> Settings:
    return Settings(data=folder / "data", tracing=TracingSettings(endpoint=collector.url, **more))


def test_a_collector_receives_spans(tmp_path):
    """All of them when the registry closes, under the name of the service and with the fields
    that it wants.
    """
    with collecting() as collector:
        settings = settings_of(
            tmp_path, collector, service_name="packages", headers={"X-Key": "the key"}
        )
        with repocore.open_registry(settings=settings) as registry:
            registry.session(registry.admin()).repositories.create("conan/main")
            app = create_app(registry)
            for _ in range(3):
                call(app, "/t/rpc-canary/healthz")
            call(app, "/readyz")
    path, fields = collector.asked[0]
    assert (path, fields["x-key"]) == ("/v1/traces", "the key")
    names = [span.name for span in collector.spans]
    assert names.count("GET /healthz") == 3
    assert "catalog snapshot" in names
    resource = collector.resources[0]
    assert (resource["service.name"], resource["process.pid"]) == ("packages", os.getpid())
    assert not any(b"canary" in body for body in collector.bodies)


def test_a_share_of_nothing_is_nothing(tmp_path):
    """And of a collector's address a path is kept."""
    with collecting() as collector:
        quiet = settings_of(tmp_path, collector, sample=0.0)
        with repocore.open_registry(settings=quiet) as registry:
            call(create_app(registry), "/healthz")
        assert collector.asked == []
        own = TracingSettings(endpoint=f"{collector.url}/own/way")
        with repocore.open_registry(settings=attrs.evolve(quiet, tracing=own)) as registry:
            call(create_app(registry), "/healthz")
    assert {path for path, _ in collector.asked} == {"/own/way"}


def test_a_collector_that_is_away_holds_up_nobody(tmp_path, monkeypatch):
    """Neither an answer nor, for longer than some seconds, the end."""
    monkeypatch.setattr(plugin, "_PATIENCE", 0.2)
    own = TracingSettings(endpoint="http://127.0.0.1:9")
    with repocore.open_registry(settings=Settings(data=tmp_path, tracing=own)) as registry:
        assert call(create_app(registry), "/healthz").status == 200


FORKED = """
import os, sys, threading
from pathlib import Path
import repocore
from repocore.config import Settings, TracingSettings
folder, url = sys.argv[1:]
settings = Settings(data=Path(folder), tracing=TracingSettings(endpoint=url))
registry = repocore.open_registry(settings=settings)
registry.session(registry.admin()).repositories.create("conan/main")
assert not any("Otel" in thread.name for thread in threading.enumerate())
with registry.tracing.span("parent", root=True):
    pass
registry.close()
child = os.fork()
if child == 0:
    with repocore.open_registry(settings=settings) as registry:
        with registry.tracing.span("child", root=True):
            pass
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_each_process_has_an_exporter_of_its_own(tmp_path):
    """Its thread begins with the first span, after the fork; what is left is sent at the end."""
    with collecting() as collector:
        program = [sys.executable, "-c", FORKED, str(tmp_path / "data"), collector.url]
        subprocess.run(program, check=True)
    told = [
        (one.name, where["process.pid"])
        for one, where in zip(collector.spans, collector.resources, strict=True)
    ]
    assert sorted(name for name, _ in told) == ["child", "parent"]
    assert len({pid for _, pid in told}) == 2


def test_without_the_setting_nothing_is_loaded(tmp_path):
    """Not a module of OpenTelemetry."""
    program = (
        "import sys, repocore\n"
        f"with repocore.open_registry({str(tmp_path)!r}) as registry:\n"
        "    assert registry.tracing.tracer is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    """With what to install."""

    own = Settings(data=tmp_path, tracing=TracingSettings(endpoint="http://127.0.0.1:9"))
    part = "opentelemetry.sdk.trace"
    for name in (part, "opentelemetry.exporter.otlp.proto.http", "opentelemetry.sdk"):
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, part, raising=False)
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ConfigurationError, match=r"pip install 'repocore\[tracing\]'"):
                plugin.repocore_tracer(own)
