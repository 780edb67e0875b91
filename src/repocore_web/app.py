"""The WSGI application of a registry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Final
from urllib.parse import parse_qsl, quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from repocore.errors import (
    AccessDeniedError,
    FileMissingError,
    InvalidPathError,
    MissingError,
    NotAuthenticatedError,
    ReleaseMissingError,
    RepocoreError,
    RepositoryMissingError,
    TooManyAttemptsError,
)
from repocore.http import Request, Response, Route, status_for
from repocore.logs import hide
from repocore.registry import Registry, Session
from repocore_web.bodies import Body, body_length
from repocore_web.credentials import read_credentials
from repocore_web.exchanges import EXCHANGE, Exchange, Exchanges
from repocore_web.forwarding import Forwarding
from repocore_web.logs import LOG, describe, redact, sent_secrets
from repocore_web.metrics import ROUTE, Metrics
from repocore_web.multipart import read_parts
from repocore_web.problems import NOT_FOUND, as_detail, as_problem, is_detailed
from repocore_web.responding import Sender
from repocore_web.routing import Match, Router
from repocore_web.site import site_routes
from repocore_web.targets import Target, below, read_target
from repocore_web.visitors import Visitors

__all__ = ["create_app"]

_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="repocore", Bearer')
# Without words of its own, what is missing is answered like what is hidden: to the letter.
_DULL: Final = frozenset(
    kind().message for kind in (RepositoryMissingError, ReleaseMissingError, FileMissingError)
)
_CONTROL = re.compile(r"[\0-\x1f\x7f]")


def create_app(registry: Registry) -> WSGIApplication:
    """A WSGI application that serves a registry; threads may share it.

    Raises `PluginError` where two routes contradict each other.
    """
    return _Application(registry)


class _Headers:
    """The header fields of an environ, by name."""

    __slots__ = ("_environ",)

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ

    def get(self, name: str, default: str | None = None, /) -> str | None:
        key = name.upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        return self._environ.get(key, default)


class _Application:
    """Four translations: environ to request, field to credentials, route to handler, response to
    WSGI.
    """

    def __init__(self, registry: Registry) -> None:
        settings = registry.settings
        self._metrics = Metrics(registry) if settings.web.metrics else None
        more = () if self._metrics is None else self._metrics.routes()
        routes = (*registry.routes(), *site_routes(registry), *more)
        self._router = Router(routes, settings.web.root)
        self._sender = Sender(settings.web)
        self._forwarding = Forwarding(settings.web)
        self._visitors = Visitors(registry, self._forwarding)
        self._exchanges = Exchanges(registry, self._forwarding)
        self._limit = settings.limits.max_body
        self._prefix = settings.web.prefix

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._exchanges.watch(self._counted, environ, start_response)

    def _counted(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._metrics is None:
            return self._serve(environ, start_response)
        return self._metrics.watch(self._serve, environ, start_response)

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        exchange: Exchange = environ[EXCHANGE]
        number = exchange.number
        extra = [("X-Request-Id", number)]
        match: Match | None = None
        inside = below(environ, self._prefix) if self._prefix else environ
        if inside is None:
            response = Response.text(NOT_FOUND, 404)
            return self._sender.send(environ, start_response, response, extra)
        try:
            target = read_target(inside)
            match = self._router.find(target.segments, inside["REQUEST_METHOD"])
            exchange.match = match
            environ[ROUTE] = None if match is None else match.route
            response = self._answer(inside, target, match)
            response = self._told(response, None, inside, number, match)
            return self._sender.send(inside, start_response, response, extra)
        except Exception as error:  # noqa: BLE001 - the last line before the client
            response = self._failure(error, inside, number, match)
            response = self._told(response, error, inside, number, match)
            return self._sender.send(inside, start_response, response, extra)

    def _told(
        self,
        response: Response,
        error: Exception | None,
        environ: WSGIEnvironment,
        number: str,
        match: Match | None,
    ) -> Response:
        """What the API answers to what did not work out; any other answer as it is."""
        if response.status >= 400 and is_detailed(environ):  # noqa: PLR2004 - what went wrong
            return as_detail(response)
        route = None if match is None else match.route
        # A route below /api/v1 that describes no answers speaks the protocol of somebody else.
        if response.status < 400 or (route is not None and not route.answers):  # noqa: PLR2004 - nothing went wrong
            return response
        base = partial(self._forwarding.base_url, environ, None)
        return as_problem(response, error, environ, number, base)

    def _answer(self, environ: WSGIEnvironment, target: Target, match: Match | None) -> Response:
        base = self._forwarding.base_url(environ, target.authority)
        if match is None:
            return Response.text(NOT_FOUND, 404)
        if match.route is None:
            allow = ("Allow", ", ".join(match.allowed))
            refused = Response.text("This address does not know that method.", 405)
            return Response(405, refused.body, (*refused.headers, allow))
        session, request = self._read(environ, target, match, base)
        return match.route.handler(session, request)

    def _read(
        self, environ: WSGIEnvironment, target: Target, match: Match, base: str
    ) -> tuple[Session, Request]:
        headers = _Headers(environ)
        sent = read_credentials(environ, target.token)
        length = body_length(environ)
        session, credentials = self._visitors.connect(environ, headers, sent)
        body = Body(environ, length, self._limit)
        exchange: Exchange = environ[EXCHANGE]
        exchange.body = body
        exchange.asked_by(session)
        above = _quoted("/".join(target.segments[: match.depth])) if match.depth else ""
        query = environ.get("QUERY_STRING")
        request = Request(
            method=environ["REQUEST_METHOD"],
            path="/" + "/".join(target.segments[match.depth :]),
            fields=match.fields,
            query=_query(query) if query else {},
            headers=headers,
            body=self._visitors.guarded(environ, headers, credentials, body, base),
            length=length,
            credentials=credentials,
            repository=match.repository,
            base_url=f"{base}/{above}" if above else base,
            parts=lambda: read_parts(environ, request.body),
        )
        return session, request

    def _failure(
        self, error: Exception, environ: WSGIEnvironment, number: str, match: Match | None
    ) -> Response:
        route = None if match is None else match.route
        if not isinstance(error, RepocoreError):
            secrets = tuple(sent_secrets(environ))
            where = redact(hide(environ.get("PATH_INFO", ""), secrets))
            LOG.error("request %s failed: %s\n%s", number, where, describe(error, secrets))
            return Response.text(f"The server failed; its log has the reason under {number}.", 500)
        status = _status(error, route)
        if status >= 500:  # noqa: PLR2004 - the server's fault
            LOG.error("request %s failed\n%s", number, describe(error, sent_secrets(environ)))
        if _is_hidden(error):
            return Response.text(NOT_FOUND, 404)
        response = Response.text(redact(str(error)), status)
        if isinstance(error, NotAuthenticatedError) and status == 401:  # noqa: PLR2004 - the status itself
            return Response(status, response.body, (*response.headers, _CHALLENGE))
        if isinstance(error, TooManyAttemptsError):
            wait = ("Retry-After", str(error.retry_after))
            return Response(status, response.body, (*response.headers, wait))
        return response


def _is_hidden(error: RepocoreError) -> bool:
    if isinstance(error, AccessDeniedError):
        return error.hidden
    return isinstance(error, MissingError) and error.message in _DULL


def _status(error: RepocoreError, route: Route[Session] | None) -> int:
    errors: Mapping[type[Exception], int] = {} if route is None else route.errors
    for kind in type(error).__mro__:
        if kind in errors:
            return errors[kind]
    return status_for(error)


@lru_cache(maxsize=256)
def _quoted(mount: str) -> str:
    return quote(mount, safe="/@+")


def _query(text: str) -> dict[str, str]:
    message = "The query cannot be read."
    try:
        text = text.encode("latin-1").decode()  # PEP 3333: bytes in the guise of latin-1
        # The last of several wins; a bound on their number keeps the work small.
        query = dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError as error:
        raise InvalidPathError(message) from error
    if any(_CONTROL.search(value) for value in query.values()):
        raise InvalidPathError(message)
    return query
