"""Errors of the API: what each kind of them tells a program, and what none of them tells."""

from __future__ import annotations

import json

import pytest
from wsgi_calls import Answer, basic

from repocore import errors, hookimpl
from repocore.config import WebSettings
from repocore.errors import (
    AccessDeniedError,
    ConflictError,
    InvalidRequestError,
    JobMissingError,
    PreconditionFailedError,
    RejectedError,
    RepositoryMissingError,
    StorageError,
)
from repocore.http import Admits, Response, Route, status_for
from repocore_web.problems import HINTS, title_of

SECRET = "rpc-abcdefgh-0123456789abcdef"


class Failing:
    """A route that raises whatever it is given."""

    error: Exception | None = None

    @hookimpl
    def repocore_routes(self):
        def fail(_session, _request):
            if self.error is None:
                return Response.text("A handler's own words.", 409)
            raise self.error

        for template, answers in (
            ("/api/v1/failing", {200: None}),
            ("/failing", {200: None}),
            ("/api/v1/theirs", {}),
        ):
            yield Route(
                method="GET",
                template=template,
                handler=fail,
                summary="Fail.",
                permission=Admits.ANYONE,
                answers=answers,
            )


def told(answer: Answer) -> dict:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["status"] == answer.status
    assert problem.pop("request_id") == answer.headers["x-request-id"]
    assert problem["hint"].endswith((".", ","))
    return problem


@pytest.mark.parametrize(
    ("error", "status", "type_", "title"),
    [
        (RejectedError("No."), 422, "RejectedError", "Rejected"),
        (ConflictError("No."), 409, "ConflictError", "Conflict"),
        (JobMissingError(), 404, "JobMissingError", "Job missing"),
        (PreconditionFailedError(), 412, "PreconditionFailedError", "Precondition failed"),
        (AccessDeniedError(), 403, "AccessDeniedError", "Access denied"),
        (AccessDeniedError(hidden=True), 404, "MissingError", "Missing"),
        (RepositoryMissingError(), 404, "MissingError", "Missing"),
        (StorageError(), 503, "StorageError", "Storage"),
    ],
)
def test_an_error_is_a_problem_of_its_kind(open_site, error, status, type_, title):
    """Its type leads to the page of errors, and is the same for what is hidden and missing."""
    failing = Failing()
    failing.error = error
    answer = open_site(plugins=(failing,)).call("/api/v1/failing")
    assert answer.status == status
    problem = told(answer)
    assert (problem["type"], problem["title"]) == (f"/api/v1/docs#{type_}", title)
    assert problem["detail"] == ("Not found." if type_ == "MissingError" else str(error))
    assert "errors" not in problem


def test_several_mistakes_are_told_apart(open_site):
    """Each has its own sentence beside that of the whole."""
    failing = Failing()
    failing.error = InvalidRequestError(problems=("`a` is no b.", f"`c` is {SECRET}."))
    problem = told(open_site(plugins=(failing,)).call("/api/v1/failing"))
    told_all = "The request cannot be taken as it is. `a` is no b. `c` is rpc-***."
    assert problem["detail"] == told_all
    assert problem["errors"] == [{"detail": "`a` is no b."}, {"detail": "`c` is rpc-***."}]


def test_a_surprise_tells_nothing(open_site, caplog):
    """It has the number under which the log has the reason, and no word of it."""
    failing = Failing()
    failing.error = ZeroDivisionError(f"/srv/data {SECRET}")
    answer = open_site(plugins=(failing,)).call("/api/v1/failing")
    problem = told(answer)
    assert (answer.status, problem["type"]) == (500, "about:blank")
    assert problem["title"] == "Internal Server Error"
    assert "srv" not in answer.text
    assert SECRET not in answer.text + caplog.text


def test_secrets_in_a_message_are_hidden(open_site):
    """Whoever wrote the message."""
    failing = Failing()
    failing.error = RejectedError(f"Not {SECRET}.")
    answer = open_site(plugins=(failing,)).call("/api/v1/failing")
    assert SECRET not in answer.text


def test_the_words_of_a_handler_are_kept(open_site):
    """An answer that is no exception is a problem, too; other places and protocols keep theirs."""
    site = open_site(plugins=(Failing(),))
    assert told(site.call("/api/v1/failing"))["detail"] == "A handler's own words."
    for path in ("/failing", "/api/v1/theirs"):
        elsewhere = site.call(path)
        assert elsewhere.text == "A handler's own words."
        assert elsewhere.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/t/rpc-x/api/v1/nothing/at/all"])
def test_nobody_is_at_that_address(site, path):
    """As a problem below our API, and as clients of quetz read it below that of quetz."""
    assert told(site.call(path))["type"] == "/api/v1/docs#MissingError"
    there = site.call(path.replace("v1", "v9"))
    assert json.loads(there.body) == {"detail": "Not found."}
    assert site.call("/apiary/nothing").headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/api/channels/main/files", "/api/api-keys"])
def test_whoever_is_refused_at_the_door_of_quetz_reads_why(site, path):
    """A wrong key is refused before any handler is asked."""
    answer = site.call(path, "POST", HTTP_X_API_KEY="wrong")
    assert (answer.status, set(json.loads(answer.body))) == (401, {"detail"})
    assert answer.headers["content-type"] == "application/json"
    assert "www-authenticate" in answer.headers


def test_another_method_is_told(site):
    """With those that there are."""
    answer = site.call("/api/v1/jobs", "DELETE")
    assert (answer.status, told(answer)["type"]) == (405, "about:blank")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/api/v1/jobs//1", "/api/v1/%2e%2e/jobs", "/api/v1/jobs?a=%00"])
def test_what_cannot_be_read_is_a_problem(site, path):
    """A path in another spelling, and a query that is none."""
    assert told(site.call(path))["type"] == "/api/v1/docs#InvalidPathError"


def test_wrong_credentials_are_challenged(site):
    """With the same field as everywhere."""
    answer = site.call("/api/v1/jobs", HTTP_AUTHORIZATION=basic("writer", "wrong"))
    assert told(answer)["type"] == "/api/v1/docs#NotAuthenticatedError"
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_a_host_that_is_none_is_a_problem(site):
    """Though its own address cannot be told."""
    answer = site.call("/api/v1/jobs", HTTP_HOST="a b")
    assert told(answer)["type"] == "/api/v1/docs#InvalidPathError"


def test_the_page_of_errors_is_below_the_prefix(open_site):
    """Below the settings' one, on top of where the application is mounted."""
    site = open_site(WebSettings(prefix="/packages"))
    assert told(site.call("/packages/api/v1/x"))["type"] == "/packages/api/v1/docs#MissingError"
    mounted = site.call("/above/packages/api/v1/x", script="/above")
    assert told(mounted)["type"] == "/above/packages/api/v1/docs#MissingError"


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_that_is_the_askers_own_has_a_hint(name):
    """Whatever is answered below 500 says what to do about it."""
    kind = getattr(errors, name)
    error = kind.__new__(kind)
    if status_for(error if name != "AccessDeniedError" else AccessDeniedError()) < 500:
        assert any(one in HINTS for one in kind.__mro__)


def test_titles_are_words():
    """Made from the name of the error."""
    assert title_of(errors.NotAuthenticatedError) == "Not authenticated"
