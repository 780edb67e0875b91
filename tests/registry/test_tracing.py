"""Spans of what a registry does: within a request or a job, and nowhere else."""

from __future__ import annotations

import io
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import pytest
from direct_uploads import ReceivingMemory
from recording_tracer import RecordingTracer

import repocore
from repocore.config import LogSettings, Settings, TracingSettings
from repocore.errors import FileMissingError
from repocore.logs import current, noted
from repocore.ports import JobHandler, LinkingStorage, ReceivingStorage, SpanKind
from repocore.registry import Tracing, UpstreamClient
from repocore.testing.fakes import MemoryStorage

MAIN = "conan/main"
NAME = ".sources/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Jobs:
    """A kind of jobs that works, and one that does not."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    @repocore.hookimpl
    def repocore_jobs(self):
        return {
            "look": JobHandler(run=self.look, summary="Look."),
            "fail": JobHandler(run=self.fail, summary="Fail.", attempts=1),
        }

    def look(self, session, payload, progress):
        self.seen.append(dict(current().fields))
        list(session.repositories.list())
        return "Looked."

    def fail(self, session, payload, progress):
        raise ValueError("rpc-canary")


@pytest.fixture
def tracer() -> RecordingTracer:
    return RecordingTracer()


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def registry(tmp_path, tracer, jobs):
    settings = Settings(data=tmp_path / "data")
    with repocore.open_registry(settings=settings, plugins=(tracer, jobs)) as opened:
        opened.session(opened.admin()).repositories.create(MAIN)
        yield opened


@pytest.fixture
def admin(registry):
    return registry.session(registry.admin())


def test_what_happens_by_itself_is_no_trace(registry, admin, tracer):
    """Opening, looking for jobs, telling listeners: nobody asked."""
    assert registry.worker().claim() is None
    registry.tell()
    admin.files.put(MAIN, NAME, io.BytesIO(b"test"))
    assert tracer.spans == []


def test_an_upload_is_transactions_and_what_is_stored(registry, admin, tracer):
    """Below the span that it is part of, each ended once."""
    with registry.tracing.span("upload", root=True) as whole:
        admin.files.put(MAIN, NAME, io.BytesIO(b"test"))
        with admin.files.open(MAIN, NAME) as stream:
            assert stream.read() == b"test"
        registry.storage.size(admin.files.stat(MAIN, NAME).key)
    assert {one.name for one in tracer.spans} == {
        "upload",
        "catalog write",
        "storage commit",
        "storage open",
        "storage size",
    }
    inner = tracer.spans[1:]
    assert all(one.below(whole) for one in inner)
    assert {one.ended for one in tracer.spans} == {1}
    assert {one.attributes["db.system.name"] for one in tracer.named("catalog write")} == {"sqlite"}
    [stored] = tracer.named("storage commit")
    assert stored.attributes == {"repocore.size": 4}


def test_what_fails_says_how(registry, admin, tracer):
    """By the kind of error alone."""
    with pytest.raises(FileMissingError), registry.tracing.span("look", root=True):
        admin.files.stat(MAIN, NAME)
    assert [(one.failed, one.ended) for one in tracer.named("look")] == [("FileMissingError", 1)]


def test_reading_is_a_transaction(registry, admin, tracer):
    """Where it is one: what is read most is not."""
    with registry.tracing.span("list", root=True):
        list(admin.jobs.list())
    assert tracer.named("catalog snapshot")


def test_a_job_is_a_trace_of_its_own(registry, admin, tracer, jobs, caplog):
    """It says which it is and what became of it, and so does each line of it."""
    with noted(request_id="one"), registry.tracing.span("ask", root=True):
        queued = admin.jobs.submit("look")
    with caplog.at_level(logging.INFO, "repocore"):
        assert registry.worker().work()
    [submitted], [span] = tracer.named("job submit"), tracer.named("job look")
    assert submitted.attributes["repocore.job.id"] == queued.id
    assert (span.kind, span.parent, span.failed) == (SpanKind.CONSUMER, None, None)
    assert span.attributes == {
        "repocore.job.id": queued.id,
        "repocore.job.attempt": 1,
        "repocore.job.state": "done",
    }
    assert any(one.name == "catalog write" and one.below(span) for one in tracer.spans)
    about = {"job_id": queued.id, "job_kind": "look", "trace_id": span.trace_id}
    assert jobs.seen == [about]
    assert "the job is done" in caplog.text
    assert current().fields == {}


def test_a_job_that_fails_is_a_span_that_fails(registry, admin, tracer):
    """Without the words of the error."""
    admin.jobs.submit("fail")
    registry.worker().work()
    [span] = tracer.named("job fail")
    assert (span.failed, span.attributes["repocore.job.state"]) == ("JobError", "failed")
    assert "canary" not in str([one.attributes for one in tracer.spans])


def test_the_way_from_a_request_to_its_job_is_a_line(registry, admin, caplog):
    """The row of a job knows no request."""
    with caplog.at_level(logging.INFO, "repocore"):
        queued = admin.jobs.submit("look")
    assert f"job {queued.id} (look) is queued" in caplog.text


def test_documents_are_spans(registry, admin, tracer):
    """Of which repository and partition, also where nobody waits for them."""
    admin.repositories.create("conda/main")
    registry.session(registry.admin()).files.open("conda/main", "noarch/repodata.json")
    found = [one for one in tracer.spans if one.name.startswith("documents ")]
    assert {one.attributes["repocore.repository"] for one in found} == {"conda/main"}
    assert {one.attributes["repocore.partition"] for one in found} == {"noarch"}
    assert any(one.below(found[0]) for one in tracer.spans)


def test_the_tracer_is_closed_with_the_registry(registry, tracer):
    """Last of all, once."""
    registry.close()
    registry.close()
    assert tracer.closed == 1


def test_a_storage_stays_what_it_is(tracer):
    """One that links still does, one that does not still does not; all else goes through."""
    storage = MemoryStorage()
    watched = Tracing(None, tracer).watch_storage(storage)
    assert isinstance(watched, LinkingStorage) == isinstance(storage, LinkingStorage)
    assert list(watched.keys()) == []

    class Linking(MemoryStorage):
        def link(self, source):
            return None if source is None else self.writer()

    watched = Tracing(None, tracer).watch_storage(Linking())
    assert isinstance(watched, LinkingStorage)
    assert not isinstance(watched, ReceivingStorage)
    assert watched.link(None) is None
    writer = watched.link(io.BytesIO())
    writer.write(b"x")
    assert writer.open().read() == b"x"
    writer.abort()
    with Tracing(None, tracer).span("all", root=True):
        watched.delete(repocore.BlobKey.make("0" * 64))
    assert tracer.named("storage delete")


def test_a_storage_that_receives_still_does(tracer):
    """And each of its requests is a span."""
    storage = ReceivingMemory()
    watched = Tracing(None, tracer).watch_storage(storage)
    assert isinstance(watched, ReceivingStorage)
    assert watched.receives() == storage.smallest
    with Tracing(None, tracer).span("all", root=True):
        upload = watched.begin("ann", "0" * 64, 4).id
        storage.arrive(upload, b"tide")
        assert watched.receive("ann", upload).content.read() == b"tide"
        assert watched.forget("ann", upload)
    for name in ("begin", "receive", "forget"):
        assert tracer.named(f"storage {name}")


def test_without_a_tracer_nothing_is_wrapped():
    """And what is entered is always the same."""
    storage, tracing = MemoryStorage(), Tracing()
    assert tracing.watch_storage(storage) is storage
    assert tracing.span("x") is tracing.span("y", root=True)
    with tracing.span("x") as span:
        span.set("a", 1)
        span.rename("b")
        span.fail("c")
        span.end()
    assert span.trace_id == ""
    tracing.close()


# ------------------------------------------------------------------------------- other servers


def test_others_are_told_nothing_by_themselves(tracer):
    """Neither of requests nor of traces."""
    with noted(request_id="one"):
        tracing = Tracing(Settings(data="x"), tracer)
        with tracing.span("x", root=True):
            assert tracing.fields() == {}


def test_others_are_told_what_the_settings_say(tracer):
    """Within a request or a trace only."""
    settings = Settings(
        data="x",
        logs=LogSettings(send_request_id=True),
        tracing=TracingSettings(propagate=True),
    )
    tracing = Tracing(settings, tracer)
    assert tracing.fields() == {}
    with noted(request_id="one"), tracing.span("x", root=True) as span:
        fields = tracing.fields()
    assert fields["X-Request-ID"] == "one"
    assert fields["traceparent"].split("-")[1] == span.trace_id


def test_a_question_to_another_server_is_a_span(tracer, answering):
    """With its host and its status, and without its path; what it is told ends at its origin."""
    settings = Settings(
        data="x",
        logs=LogSettings(send_request_id=True),
        tracing=TracingSettings(propagate=True),
    )
    client = UpstreamClient(allow=["127.0.0.0/8"], tracing=Tracing(settings, tracer))
    with noted(request_id="one"):
        assert client.get_json(f"{answering.url}/moved/canary") == {}
        assert client.post(f"{answering.url}/canary", b"") == 200
    assert [one.name for one in tracer.spans] == ["GET", "GET", "POST"]
    assert {one.kind for one in tracer.spans} == {SpanKind.CLIENT}
    first, _, third = tracer.spans
    assert first.attributes == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": answering.port,
        "http.response.status_code": 302,
    }
    assert "canary" not in str([one.attributes for one in tracer.spans])
    told = [(one.get("X-Request-ID"), "traceparent" in one) for one in answering.asked]
    assert told == [("one", True), (None, False), ("one", True)]
    assert answering.asked[2]["traceparent"].split("-")[1] == third.trace_id


@attrs.define
class Answering:
    """Two servers on loopback: the first sends questions on to the second."""

    url: str
    port: int
    asked: list[dict[str, str]]


@pytest.fixture
def answering():
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            moved = self.path.startswith("/moved")
            self.send_response(302 if moved else 200)
            if moved:
                self.send_header("Location", f"http://127.0.0.1:{second.server_port}/x")
            self.end_headers()
            self.wfile.write(b"" if moved else b"{}")

        def do_POST(self) -> None:
            asked.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Keep quiet."""

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    first, second = servers
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in servers]
    for thread in threads:
        thread.start()
    yield Answering(f"http://127.0.0.1:{first.server_port}", first.server_port, asked)
    for one in servers:
        one.shutdown()
        one.server_close()
    for thread in threads:
        thread.join()
