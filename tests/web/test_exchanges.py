"""Requests have ids that everybody can quote, and lines that tell of them and of no secret."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from wsgiref.util import FileWrapper

import attrs
import pytest
from wsgi_calls import basic, call, environ, send

import repocore
from repocore.config import LogSettings, Settings, WebSettings
from repocore.http import Admits, Response, Route
from repocore.logs import ACCESS, ContextFilter, JsonFormatter, TextFormatter, request_id
from repocore_web import create_app, responding
from repocore_web.app import _Application

PROXY = "192.0.2.1"
BEHIND = WebSettings(trusted_proxies=(PROXY, "unix"))
MADE = re.compile("[0-9a-f]{16}")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
FILE = "/conan/main/v2/conans/zlib/1.3/_/_/revisions/r1/files/conanfile.py"


class Lines(logging.Handler):
    """Keeps lines as our handlers write them."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(ContextFilter())
        self.text: list[str] = []
        self.said: list[dict] = []

    def emit(self, record) -> None:
        self.text.append(TextFormatter().format(record))
        self.said.append(json.loads(JsonFormatter().format(record)))

    def requests(self) -> list[dict]:
        return [one for one in self.said if one["logger"] == ACCESS]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Every line of ours from now on."""
    top, access = logging.getLogger("repocore"), logging.getLogger(ACCESS)
    handler, levels = Lines(), (top.level, access.level)
    top.addHandler(handler)
    top.setLevel(logging.DEBUG)
    access.setLevel(logging.INFO)
    yield handler
    top.removeHandler(handler)
    top.setLevel(levels[0])
    access.setLevel(levels[1])


class Lab:
    """Routes that answer in every way, and remember what they see."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self.error: Exception = ValueError("no such colour: red")

    @repocore.hookimpl
    def repocore_routes(self):
        for name in ("stream", "broken", "fail", "read"):
            yield Route(
                method="POST" if name == "read" else "GET",
                template=f"/lab/{name}",
                handler=getattr(self, name),
                summary="",
                permission=Admits.ANYONE,
            )

    def stream(self, session, request):
        def chunks():
            for chunk in (b"one", b"", b"two"):
                self.seen.append(request_id())
                yield chunk

        return Response(200, chunks(), ())

    def broken(self, session, request):
        def chunks():
            yield b"one"
            raise self.error

        return Response(200, chunks(), ())

    def fail(self, session, request):
        raise self.error

    def read(self, session, request):
        return Response.text(str(len(request.body.read())))


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def open_logged(open_site, lab):
    """A site that writes lines of requests."""

    def make(web=None):
        site = open_site(web=web, plugins=(lab,))
        registry = site.registry
        registry.settings = attrs.evolve(registry.settings, logs=LogSettings(access=True))
        return attrs.evolve(site, app=create_app(registry))

    return make


# ------------------------------------------------------------------------------------------- ids


def test_every_answer_has_an_id(open_site, lab):
    """Of each kind, whole or streamed, wherever it went wrong; no two are alike."""
    site = open_site(web=WebSettings(prefix="/pkgs", metrics=True), plugins=(lab,))
    site.publish()
    site.allow("*", "read")
    targets = [
        "/elsewhere", "/pkgs/healthz", "/pkgs/nothing", "/pkgs/a//b", "/pkgs/lab/fail",
        "/pkgs/lab/stream", f"/pkgs{FILE}", "/pkgs/api/v1/nothing", "/pkgs/api/channels/x",
    ]  # fmt: skip
    answers = [site.call(target) for target in targets]
    answers.append(site.call("/pkgs/healthz", "BREW"))
    answers.append(site.call("/pkgs/healthz", HTTP_AUTHORIZATION="Basic ?"))
    assert {answer.status for answer in answers} >= {200, 400, 401, 404, 405, 500}
    numbers = [answer.headers["x-request-id"] for answer in answers]
    assert all(map(MADE.fullmatch, numbers))
    assert len(set(numbers)) == len(numbers)


def test_a_problem_says_the_id_to_quote(open_site):
    """The one of the header."""
    site = open_site(web=BEHIND)
    answer = site.call("/api/v1/nothing", REMOTE_ADDR=PROXY, HTTP_X_REQUEST_ID="quote-me.1")
    assert json.loads(answer.text)["request_id"] == "quote-me.1"
    assert answer.headers["x-request-id"] == "quote-me.1"


@pytest.mark.parametrize(
    "sent", ["7f3b", "a" * 128, "0b7c2f9e-5d0e-4a41-9d6c-9f6f0a2f8f55", "edge:1.2_3"]
)
@pytest.mark.parametrize("peer", [PROXY, ""])
def test_a_trusted_proxy_gives_ids(open_site, sent, peer):
    """So that its log and ours say the same."""
    site = open_site(web=BEHIND)
    answer = site.call("/healthz", REMOTE_ADDR=peer, HTTP_X_REQUEST_ID=sent)
    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("web", [BEHIND, WebSettings()])
def test_nobody_else_gives_ids(open_site, web):
    """Not even the machine itself, where no proxy is trusted."""
    site = open_site(web=web)
    for peer in ("192.0.2.7", "127.0.0.1"):
        answer = site.call("/healthz", REMOTE_ADDR=peer, HTTP_X_REQUEST_ID="mine")
        assert MADE.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "sent",
    ["", "a" * 129, "a b", "a,b", "a\r\nX-Own: 1", "\x1b[2J", "<b>", "é", "-x", "rpc-canary"],
)
def test_what_is_no_id_is_replaced(open_site, sent):
    """Too long, of other characters, sent twice, or a secret by mistake."""
    site = open_site(web=BEHIND)
    answer = site.call("/healthz", REMOTE_ADDR=PROXY, HTTP_X_REQUEST_ID=sent)
    assert MADE.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("parent", "peer", "known"),
    [
        (PARENT, PROXY, True),
        (f"01-{PARENT[3:]}-more", PROXY, True),
        (PARENT, "192.0.2.7", False),
        (PARENT.upper(), PROXY, False),
        (f"ff{PARENT[2:]}", PROXY, False),
        (f"{PARENT}x", PROXY, False),
        (PARENT.replace(TRACE, "0" * 32), PROXY, False),
        (PARENT.replace("b7ad6b7169203331", "0" * 16), PROXY, False),
        (f"{PARENT},{PARENT}", PROXY, False),
    ],
)
def test_a_trusted_proxy_s_trace_is_on_lines(open_logged, lines, parent, peer, known):
    """Also where we trace nothing ourselves."""
    open_logged(BEHIND).call("/lab/fail", REMOTE_ADDR=peer, HTTP_TRACEPARENT=parent)
    assert len(lines.said) == 2
    assert {one.get("trace_id") for one in lines.said} == {TRACE if known else None}


def test_the_id_lasts_as_long_as_the_answer(open_site, lab):
    """While chunks are made, and not between them: the thread may do something else there."""
    site = open_site(plugins=(lab,))
    made = environ("/lab/stream")
    chunks = site.app(made, lambda *_: None)
    between = [request_id() for _ in chunks]
    chunks.close()
    number = made["repocore.exchange"].number
    assert lab.seen == [number] * 3
    assert between == [None] * 3
    assert request_id() is None


def test_an_answer_that_breaks_off_is_told(open_site, lab, lines):
    """Under its id; the client has had its status already."""
    site = open_site(plugins=(lab,))
    with pytest.raises(ValueError, match="colour"):
        site.call("/lab/broken")
    [line] = lines.said
    assert "broke off" in line["message"]
    assert line["exception"].splitlines()[-1] == "ValueError: no such colour: red"
    assert MADE.fullmatch(line["request_id"])


# ----------------------------------------------------------------------------------------- lines


def test_a_line_tells_of_a_request(open_logged, lines):
    """Who asked for what by which token, from where, and what came of it."""
    site = open_logged(BEHIND)
    site.publish()
    token, secret = site.admin.accounts.create_token("writer", "ci")
    answer = site.call(
        f"/t/{secret}{FILE}?q=1&token={secret}",
        REMOTE_ADDR=PROXY,
        HTTP_X_FORWARDED_FOR="203.0.113.9",
        HTTP_USER_AGENT="Conan/2.9 \x1b[1m",
        HTTP_X_REQUEST_ID="edge-1",
    )
    assert answer.status == 200
    [line] = lines.requests()
    assert 0 <= line.pop("duration_ms") < 60_000
    for name in ("time", "process", "thread"):
        line.pop(name)
    path = f"/t/***{FILE}"
    assert line == {
        "level": "info",
        "logger": "repocore.access",
        "message": f"GET {path} 200",
        "request_id": "edge-1",
        "account": "writer",
        "token_id": token.id,
        "method": "GET",
        "path": path,
        "query": "?q=1&token=***",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 10,
        "client": "203.0.113.9",
        "user_agent": "Conan/2.9 \\x1b[1m",
        "route": line["route"],
        "format": "conan",
        "repository": "conan/main",
    }
    assert line["route"].startswith("conan:/v2/conans/{name}")
    assert secret[4:] not in "".join(lines.text)


def test_bytes_are_counted(open_logged, lines, lab):
    """Those that were read, and those that were sent: of whole answers, streams and HEADs."""
    site = open_logged()
    site.call("/lab/read", "POST", body=b"12345")
    site.call("/lab/stream")
    site.call("/healthz", "HEAD")
    with pytest.raises(ValueError, match="colour"):
        site.call("/lab/broken")
    told = [(one["bytes_in"], one["bytes_out"], one["status"]) for one in lines.requests()]
    assert told == [(5, 1, 200), (0, 6, 200), (0, 0, 200), (0, 3, 200)]
    assert [one.get("failed") for one in lines.requests()] == [None, None, None, "ValueError"]


def test_whoever_is_not_signed_in_is_anonymous(open_logged, lines):
    """And whoever could not be is nobody: a name may be a password that slipped."""
    site = open_logged()
    site.call("/healthz")
    site.call("/healthz", HTTP_AUTHORIZATION=basic("slipped-canary", "x"))
    accounts = [one.get("account") for one in lines.requests()]
    assert accounts == ["anonymous", None]
    assert [one["status"] for one in lines.requests()] == [200, 401]
    assert "canary" not in "".join(lines.text)


def test_lines_inside_a_request_say_whose_it_is(open_logged, lines, lab):
    """What is logged while it is answered has its id and its account."""
    site = open_logged()
    site.signed("/lab/fail")
    failure, request = lines.said
    assert failure["request_id"] == request["request_id"]
    assert failure["account"] == request["account"] == "writer"


def test_files_that_the_server_sends_are_told(open_logged, lines, monkeypatch):
    """When it closes them; it gets what it takes for a file, with its descriptor."""
    monkeypatch.setattr(responding, "SMALL", 5)
    site = open_logged()
    site.publish()
    made = environ(FILE, HTTP_AUTHORIZATION=site.writer, **{"wsgi.file_wrapper": FileWrapper})
    body = site.app(made, lambda *_: None)
    assert isinstance(body, FileWrapper)
    assert body.filelike.fileno() > 0
    assert lines.requests() == []
    assert b"".join(body) == b"0123456789"
    body.close()
    body.close()
    [line] = lines.requests()
    assert line["bytes_out"] == 10


def test_without_the_setting_there_is_no_line(site, lines, monkeypatch):
    """And the server is handed files as they are."""
    monkeypatch.setattr(responding, "SMALL", 5)
    site.publish()
    made = environ(FILE, HTTP_AUTHORIZATION=site.writer, **{"wsgi.file_wrapper": FileWrapper})
    body = site.app(made, lambda *_: None)
    assert isinstance(body.filelike, io.IOBase)
    body.close()
    assert lines.requests() == []


def test_a_failing_application_is_told_of(open_logged, lines, monkeypatch):
    """Even where no answer could be begun."""
    site = open_logged()

    def fail(*_args):
        raise ZeroDivisionError

    monkeypatch.setattr(_Application, "_counted", fail)
    site = attrs.evolve(site, app=create_app(site.registry))
    with pytest.raises(ZeroDivisionError):
        site.call("/healthz")
    [line] = lines.requests()
    assert (line["status"], line["failed"]) == (500, "ZeroDivisionError")


def test_paths_are_told_as_they_were_sent(open_logged, lines):
    """Of servers that keep the raw target, and of those that do not."""
    site = open_logged()
    made = environ("/lab/%C3%BC%20x", script="")
    send(site.app, dict(made))
    del made["RAW_URI"]
    send(site.app, made)
    assert [one["path"] for one in lines.requests()] == ["/lab/%C3%BC%20x"] * 2


# --------------------------------------------------------------------------------------- secrets

CANARIES = {
    "HTTP_AUTHORIZATION": [
        "Bearer magenta-canary-1",
        "Digest magenta-canary-2",
        basic("writer", "magenta-canary-3"),
        "Basic magenta-canary-4",
        "magenta-canary-5",
    ],
    "HTTP_X_API_KEY": ["magenta-canary-6"],
    "HTTP_COOKIE": ["repocore_session=magenta-canary-7; other=magenta-canary-8"],
    "HTTP_X_CSRF_TOKEN": ["magenta-canary-9"],
    "HTTP_PROXY_AUTHORIZATION": ["magenta-canary-10"],
}
TARGETS = [
    "/lab/fail?token=magenta-canary-11",
    "/lab/fail?code=magenta-canary%2012&state=magenta-canary-13",
    "/lab/fail?X-Amz-Signature=magenta-canary-14&x-amz-credential=magenta-canary-15",
    "/lab/fail?client_secret=magenta-canary-16",
    "/t/magenta-canary-17/lab/fail",
    "/%74/magenta-canary-18/lab/fail",
    "/nothing/t/magenta-canary-19/x",
    "/lab//fail?signature=magenta-canary-20",
    "http://magenta-canary-21:x@server.example/lab/fail",
]


@pytest.mark.parametrize(
    ("target", "field", "value"),
    [(target, "HTTP_ACCEPT", "*/*") for target in TARGETS]
    + [("/lab/fail", field, value) for field, values in CANARIES.items() for value in values],
)
def test_no_canary_sings(open_logged, lines, caplog, target, field, value):
    """Whatever came with a request is on no line, not even where a plugin's error repeats it."""
    site = open_logged()
    [lab] = [one for one in site.registry.plugins.get_plugins() if isinstance(one, Lab)]
    made = environ(target, **{field: value})
    # A plugin that shows what it was given, in the worst of words.
    said = " ".join(str(one) for one in made.values() if "canary" in str(one))
    lab.error = ValueError(f"cannot read {said!r}, which is {said}\n2026 ERROR forged \x1b[2J")
    answer = send(site.app, made)
    assert lines.requests()
    for text in (*lines.text, *map(json.dumps, lines.said), caplog.text):
        assert "canary" not in text
        assert "\x1b" not in text
        assert not re.search("^2026 ERROR", text, re.MULTILINE)
    assert "canary" not in answer.text


def test_a_password_in_an_error_is_hidden_as_it_was_understood(open_logged, lab, lines):
    """The words of a plugin may hold what we have decoded: no pattern would find that."""
    site = open_logged()
    for sent in ("pass word/ü", "\N{CAT FACE}-secret"):
        lab.error = RuntimeError(f"the directory says no to {sent}")
        site.registry.plugins.register(Refusing(lab.error))
        site.call("/healthz", HTTP_AUTHORIZATION=basic("ann", sent))
    text = "".join(lines.text)
    assert "the directory says no to ***" in text
    assert "pass word" not in text
    assert "secret" not in text


@attrs.define(eq=False)
class Refusing:
    """An authenticator that fails, and tells too much."""

    error: Exception

    @repocore.hookimpl(tryfirst=True)
    def repocore_authenticate(self, credentials):
        if isinstance(credentials, repocore.Password):
            raise self.error


def test_nothing_is_configured_by_an_application(tmp_path):
    """Neither handlers nor levels: that is the host's."""
    before = [
        (logging.getLogger(name).handlers[:], logging.getLogger(name).level) for name in NAMES
    ]
    settings = Settings(data=tmp_path, logs=LogSettings(level="debug", access=True))
    with repocore.open_registry(settings=settings) as registry:
        call(create_app(registry), "/healthz", body=io.BytesIO())
    after = [(logging.getLogger(name).handlers[:], logging.getLogger(name).level) for name in NAMES]
    assert before == after


NAMES = ("", "repocore", "repocore.web", ACCESS)
