"""The application: from a request to an answer, and what an answer never says."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from wsgiref.validate import validator

import pytest
from tests_manifest import manifest
from wsgi_calls import BAD_SEGMENTS, ShortInput, Untouchable, basic, call, environ, send

import repocore
from repocore import RejectedError, hookimpl
from repocore.config import LimitSettings, WebSettings
from repocore.http import Admits, Response, Route
from repocore_web.site import site_routes

MAIN = "conan/main"
RECIPE = f"/{MAIN}/v2/conans/zlib/1.3/_/_/revisions/r1"
FILE = f"{RECIPE}/files/conanfile.py"
VALUES = {"file": "conanfile.py", "digest": "a" * 64}


def targets(registry):
    """Every route of the registry and the site, as a method and a path with its fields."""
    for route in (*registry.routes(), *site_routes(registry)):
        prefix = "" if route.format is None else f"/{route.format}/{{repository}}"
        yield route.method, prefix + route.template


def filled(template: str, **values: str) -> str:
    """A template with a plain value in each field, and the given ones."""
    return re.sub(
        r"\{(\w+)(?::path)?\}",
        lambda field: values.get(field[1], VALUES.get(field[1], "main")),
        template,
    )


def test_every_field_of_every_route_has_one_spelling(site, tmp_path: Path):
    """A bad spelling in a field of a route is 400 or 404, and leaves nothing behind."""
    site.publish()
    before = site.listing(), sorted((tmp_path / "data/blobs").rglob("*"))
    answers = {}
    for method, template in targets(site.registry):
        for field in re.findall(r"\{(\w+)", template):
            for bad in BAD_SEGMENTS:
                target = filled(template, **{field: bad})
                body = b"x" if method in {"PUT", "POST"} else b""
                answers[method, target] = site.signed(target, method, body=body)
    wrong = {key: one.status for key, one in answers.items() if one.status not in {400, 404}}
    assert len(answers) > 1000
    assert wrong == {}
    assert all(one.text.count("\n") == 0 for one in answers.values())
    assert before == (site.listing(), sorted((tmp_path / "data/blobs").rglob("*")))


@pytest.mark.parametrize(
    "path",
    [".meta", ".tmp", "_system", "catalog.db", "blobs", "data/catalog.db", "conan", "conan/void",
     "api/v1", "t", "get/x", "auth", "docs", "openapi.json", "metrics", "ui", "psm", "v1", "v2",
     "CONAN/main/v1/ping", "conan/main/V1/ping", "conan/.uploads/v1/x"],
)  # fmt: skip
def test_there_are_no_other_names(site, path):
    """Nothing of the server's own, and no reserved place, answers under any name."""
    assert site.signed(f"/{path}").status == 404


def test_wrong_method_and_unknown_path(site):
    """A path that is there names its methods; one that is not is simply not found."""
    answer = site.call(f"/{MAIN}/v1/ping", "POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert site.call(f"/{MAIN}/v1/ping", "OPTIONS").status == 405
    answer = site.call("/nothing")
    assert (answer.status, answer.text) == (404, "Not found.")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("credentials", ["", "Basic !!!", "Bearer x.y.z", "Basic YW5uOmI="])
def test_refused_body_is_not_touched(site, method, credentials):
    """Whoever may not write is told so before a byte of the body is read."""
    fields = {"HTTP_AUTHORIZATION": credentials, "CONTENT_LENGTH": "1000"}
    target = FILE if method == "PUT" else RECIPE
    answer = site.call(target, method, body=Untouchable(), **fields)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith('Basic realm="repocore"')


def test_reader_may_not_write(site):
    """A known reader is told that the permission is lacking, and the body stays unread."""
    site.allow("user:reader", "read")
    fields = {"CONTENT_LENGTH": "1000", "HTTP_AUTHORIZATION": basic("reader", "high-water")}
    answer = site.call(FILE, "PUT", body=Untouchable(), **fields)
    assert answer.status == 403
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"CONTENT_LENGTH": "nine"}, 400),
        ({"CONTENT_LENGTH": "9", "HTTP_TRANSFER_ENCODING": "chunked"}, 400),
        ({"CONTENT_LENGTH": ""}, 411),
        ({"CONTENT_LENGTH": "101"}, 413),
        ({"HTTP_X_CHECKSUM_SHA1": "xyz", "CONTENT_LENGTH": "9"}, 400),
        ({"HTTP_HOST": "a b", "CONTENT_LENGTH": "9"}, 400),
    ],
)
def test_unacceptable_body_is_refused_before_it_is_read(open_site, fields, status):
    """What the head of a request shows to be wrong is answered from the head."""
    site = open_site(limits=LimitSettings(max_body=100))
    before = site.listing()
    answer = site.signed(FILE, "PUT", body=Untouchable(), **fields)
    assert answer.status == status
    assert answer.text.endswith((".", "chunked."))
    assert site.listing() == before


@pytest.mark.parametrize(
    ("body", "fields", "status"),
    [
        (b"abc", {"CONTENT_LENGTH": "9"}, 400),
        (ShortInput(b"abc"), {"CONTENT_LENGTH": "9"}, 400),
        (ShortInput(b"abc"), {"HTTP_TRANSFER_ENCODING": "chunked"}, 400),
        (io.BytesIO(b"x" * 200), {"HTTP_TRANSFER_ENCODING": "chunked"}, 413),
        (b"abc", {"HTTP_X_CHECKSUM_SHA1": "0" * 40}, 400),
    ],
)
def test_broken_upload_leaves_nothing(open_site, body, fields, status):
    """A body that is cut short, too long or another than announced is not stored at all."""
    site = open_site(limits=LimitSettings(max_body=100))
    site.publish("other")
    before = site.listing()
    answer = site.signed(FILE, "PUT", body=body, **fields)
    assert answer.status == status
    assert site.listing() == before
    assert site.signed(f"{RECIPE}/files").status == 404


@pytest.mark.parametrize("content", [b"", b"recipe"])
def test_chunked_upload_is_stored(site, content):
    """A body without a length is stored as it came, an empty one too."""
    fields = {"HTTP_TRANSFER_ENCODING": "chunked"}
    assert site.signed(FILE, "PUT", body=io.BytesIO(content), **fields).status in {200, 201}
    lines = manifest("conanfile.py")
    assert site.signed(f"{RECIPE}/files/conanmanifest.txt", "PUT", body=lines).status in {200, 201}
    assert site.signed(FILE).body == content


def test_file_is_served_with_conditions(site):
    """The routes of a format get ranges, tags and HEAD from the adapter."""
    site.publish()
    whole = site.signed(FILE)
    assert (whole.status, whole.body) == (200, b"0123456789")
    assert site.signed(FILE, HTTP_RANGE="bytes=2-4").body == b"234"
    assert site.signed(FILE, HTTP_IF_NONE_MATCH=whole.headers["etag"]).status == 304
    head = site.signed(FILE, "HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", "10")


def test_front_server_sends_objects_by_name(open_site, tmp_path: Path):
    """The name that the front server is given is that of the object below the storage's folder."""
    site = open_site(WebSettings(sendfile="x-accel", sendfile_prefix="/objects/"))
    site.publish()
    name = site.signed(FILE).headers["x-accel-redirect"].removeprefix("/objects/")
    assert (tmp_path / "data/blobs" / name).read_bytes() == b"0123456789"


def test_repository_at_the_root(open_site):
    """One repository is reached at the root as well, and the site's pages stay where they are."""
    site = open_site(WebSettings(root=MAIN))
    site.publish()
    assert site.call("/v1/ping").status == 200
    assert site.signed(FILE.removeprefix(f"/{MAIN}")).body == b"0123456789"
    assert site.signed(FILE).body == b"0123456789"
    assert site.call("/healthz").text == "ok\n"
    assert site.call("/v1").status == 404


def test_token_in_the_url(site):
    """A token in the path signs its owner in; a wrong one is no anonymous request."""
    site.publish()
    token, secret = site.admin.accounts.create_token("writer", "ci")
    assert site.call(f"/t/{secret}{FILE}").body == b"0123456789"
    assert site.call(f"/t/rpc-wrong{FILE}").status == 401
    site.admin.accounts.revoke_token(token.id)
    assert site.call(f"/t/{secret}{FILE}").status == 401


def test_hidden_is_like_missing(site):
    """Whoever may not read cannot tell whether there is something."""
    site.publish()
    stranger = {"HTTP_AUTHORIZATION": basic("stranger", "high-water")}
    for there, absent in [
        (f"/{MAIN}/v2/conans/zlib/1.3/_/_/latest", f"/{MAIN}/v2/conans/none/1.3/_/_/latest"),
        (FILE, FILE.replace("zlib", "none")),
        (f"/{MAIN}/v2/conans/zlib/1.3/_/_/latest", "/conan/none/v2/conans/zlib/1.3/_/_/latest"),
    ]:
        one, other = site.call(there, **stranger), site.call(absent, **stranger)
        assert one.status == other.status == 404
        assert one.text.replace("zlib", "none") == other.text.replace("zlib", "none")


class Lab:
    """A plugin with a route that fails as it is told, and one that repeats its request."""

    def __init__(self):
        self.error: Exception = ValueError()
        self.seen: list = []

    @hookimpl
    def repocore_routes(self):
        yield Route(
            method="GET",
            template="/lab/fail",
            handler=self.fail,
            summary="fail",
            permission=Admits.ANYONE,
        )
        yield Route(
            method="GET",
            template="/lab/odd",
            handler=self.fail,
            summary="",
            permission=Admits.ANYONE,
            errors={ValueError: 418},
        )
        yield Route(
            method="PUT",
            template="/lab/{name}/{rest:path}",
            handler=self.note,
            summary="",
            permission=Admits.ANYONE,
        )

    def fail(self, session, request):
        raise self.error

    def note(self, session, request):
        self.seen.append(request)
        return Response.text("noted")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (repocore.ReleaseMissingError(), 404, "Not found."),
        (repocore.FileMissingError("Recipe not found: 'a/1'"), 404, "Recipe not found: 'a/1'"),
        (repocore.AccessDeniedError(hidden=True), 404, "Not found."),
        (repocore.AccessDeniedError(), 403, "Permission denied."),
        (repocore.NotAuthenticatedError(), 401, "Sign in to do this."),
        (repocore.AlreadyExistsError("There is one."), 409, "There is one."),
        (repocore.QuotaExceededError("Full."), 413, "Full."),
        (RejectedError("Two\nlines \x1b[1m."), 422, "Two\\nlines \\x1b[1m."),
        (repocore.StorageFullError(), 507, "The server's storage is full; nothing was changed."),
        (repocore.StorageError(), 503, "The storage failed; try again later."),
    ],
)
def test_errors_of_the_house_have_a_status_and_a_sentence(open_site, error, status, text):
    """Every error is one line of plain text under the number of its request."""
    lab = Lab()
    site = open_site(plugins=(lab,))
    lab.error = error
    answer = site.call("/lab/fail")
    assert (answer.status, answer.text) == (status, text)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert ("www-authenticate" in answer.headers) is (status == 401)
    assert site.call("/lab/fail", "HEAD").body == b""


def test_route_may_mean_another_status(open_site):
    """A protocol with statuses of its own names them in its route."""
    lab = Lab()
    site = open_site(plugins=(lab,))
    lab.error = RejectedError("Short and stout.")
    answer = site.call("/lab/odd")
    assert (answer.status, answer.text) == (418, "Short and stout.")


def test_surprises_are_logged_and_not_told(open_site, caplog):
    """An error that nobody foresaw shows its number to the client, and the rest to the log."""
    lab = Lab()
    site = open_site(plugins=(lab,))
    lab.error = KeyError("/srv/data/catalog.db SELECT * FROM tokens\n2026 ERROR forged rpc-canary")
    with caplog.at_level(logging.ERROR, "repocore.web"):
        answer = site.call("/t/canary-token/lab/fail", HTTP_AUTHORIZATION="")
        answer = site.call("/lab/fail")
    assert answer.status == 500
    number = answer.headers["x-request-id"]
    assert answer.text == f"The server failed; its log has the reason under {number}."
    assert number in caplog.text
    assert "KeyError" in caplog.text
    assert not any(line.startswith("2026 ERROR") for line in caplog.text.splitlines())
    assert "canary" not in caplog.text


def test_planted_secrets_are_nowhere(open_site, caplog):
    """Secrets sent in every place where one can be reach no answer and no line of the log."""
    lab = Lab()
    site = open_site(plugins=(lab,))
    secrets = {"HTTP_AUTHORIZATION": "Bearer canary.canary.canary"}
    answers = []
    with caplog.at_level(logging.DEBUG):
        for error in (lab.error, repocore.StorageError(), repocore.NotAuthenticatedError()):
            lab.error = error
            for target in (
                "/lab/fail?token=canary", "/t/rpc-canary/lab/fail", "/lab/fail",
                "/t/canary%00/x", "/t/rpc-canary//x", "/nothing?signature=canary",
            ):  # fmt: skip
                answers.append(site.call(target))
                answers.append(site.call(target, **secrets))
                answers.append(site.call(target, HTTP_AUTHORIZATION="Basic Y2FuYXJ5OmNhbmFyeQ=="))
    assert {answer.status for answer in answers} >= {400, 401, 404, 500, 503}
    assert not any("canary" in f"{answer.text}{answer.headers}" for answer in answers)
    assert "canary" not in caplog.text


def test_request_as_a_handler_sees_it(open_site):
    """Fields, query, header fields, body and URL arrive decoded, once."""
    lab = Lab()
    site = open_site(plugins=(lab,))
    answer = call(
        site.app,
        "/pkgs/lab/a%20b/c+d/%C3%BC?q=x+y%2B&q=z&empty=",
        "PUT",
        body=b"12345",
        script="/pkgs",
        HTTP_X_OWN="1",
        CONTENT_TYPE="text/x",
    )
    assert (answer.status, answer.text) == (200, "noted")
    [request] = lab.seen
    assert request.fields == {"name": "a b", "rest": "c+d/ü"}
    assert request.path == "/lab/a b/c+d/ü"
    assert request.query == {"q": "z", "empty": ""}
    assert (request.headers.get("x-own"), request.headers.get("Content-Type")) == ("1", "text/x")
    assert request.headers.get("Missing", "no") == "no"
    assert (request.repository, request.base_url) == ("", "http://server.example/pkgs")
    assert (request.length, request.method) == (5, "PUT")


@pytest.mark.parametrize(
    "query", ["q=%ff", "q=%00", "q=a%0ab", "&".join(f"a{n}=1" for n in range(200)), "q=\xff"]
)
def test_unreadable_query_is_refused(site, query):
    """What is not text, or far too much of it, is no query."""
    assert site.call(f"/{MAIN}/v2/conans/search?{query}").status == 400


def test_answers_keep_to_the_protocol_of_servers(site):
    """PEP 3333 is kept for files, JSON, errors and empty answers."""
    site.publish()
    site.allow("*", "read")
    app = validator(site.app)
    for target in (FILE, f"{RECIPE}/files", "/", "/nothing", "/a//b", f"/{MAIN}/v1/ping"):
        made = environ(target)
        made["wsgi.input"] = io.BytesIO()
        assert send(app, made).status in {200, 400, 404}


def test_security_fields_are_on_every_answer(site):
    """No browser guesses a type, and nothing is stored that was not meant to be."""
    site.publish()
    for target in (FILE, "/", "/nothing", "/a//b", f"/{MAIN}/v1/ping", f"{RECIPE}/files"):
        headers = site.signed(target).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] in {"no-store", "private, no-cache"}
        assert "content-encoding" not in headers
