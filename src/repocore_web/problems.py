"""Errors of the API as ``application/problem+json`` (RFC 9457): for programs, and with a hint.

The clients of quetz's API read ``{"detail": …}``.  Elsewhere an error is a line of text, because
package clients show it to people as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from repocore import errors
from repocore.http import Response
from repocore_web.logs import redact
from repocore_web.responding import REASONS

__all__ = [
    "HINTS",
    "MEDIA_TYPE",
    "NOT_FOUND",
    "as_detail",
    "as_problem",
    "is_api",
    "is_detailed",
    "title_of",
]

MEDIA_TYPE: Final = "application/problem+json"

#: Below it errors are problems; a token may stand in front (``/t/<token>/``).
_API: Final = re.compile(r"(?:/t/[^/]+)?/api/v1(?:/|\Z)")
#: Below these errors are as clients of quetz read them.
_DETAILED: Final = re.compile(r"(?:/t/[^/]+)?/(?:api/(?!v1(?:/|\Z)|oidc/)|metrics/channels/)")
_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_REFUSAL: Final = 400
_FAILURE: Final = 500
_NOT_FOUND: Final = 404
#: The whole answer about what is not there, or may not be seen.
NOT_FOUND: Final = "Not found."

#: What to do next, by error; those of a family have that of the nearest of their ancestors.
HINTS: Final[Mapping[type[errors.RepocoreError], str]] = {
    errors.NotAuthenticatedError: (
        "Send a token as `Authorization: Bearer …` or in the field X-API-Key, or a user and a "
        "password by the scheme Basic."
    ),
    errors.TooManyAttemptsError: (
        "Wait as long as Retry-After says, then send what is right. The block is of the account "
        "or of the client's address; `repocore user unblock` ends that of an account."
    ),
    errors.AccessDeniedError: (
        "Ask whoever manages it for a role that lets you; GET /api/v1/access/explain tells what "
        "decides."
    ),
    errors.MissingError: (
        "Look for it in the list that it would be in. What you may not read is in none: sign in, "
        "or with another account."
    ),
    errors.PreconditionFailedError: (
        "GET it, decide anew on what it is now, and send its new ETag in If-Match."
    ),
    errors.AlreadyExistsError: "Choose another name, or change what is there by PATCH or PUT.",
    errors.ImmutableFileError: "Publish it as another version, or as another build of it.",
    errors.ConflictError: "GET what is there, and ask for what goes together with it.",
    errors.RejectedError: "Change the request; /api/v1/docs tells what each route takes.",
    errors.TooLargeError: "Send less at once.",
    errors.QuotaExceededError: (
        "Delete what nobody needs, or ask an administrator to raise the repository's quota."
    ),
    errors.PluginError: "Ask for what a plugin brings, or an administrator for the plugin.",
    errors.UpstreamError: "Name another server, or ask an administrator to allow this one.",
    errors.BlobMissingError: "Tell the administrator, with the request_id.",
    errors.ReadOnlyError: "Try again later; an administrator has said that nothing is to change.",
    errors.ReplicaReadOnlyError: (
        "Send it to the primary, which the detail names; what is changed there is here soon after."
    ),
    errors.ReplicaError: "`repocore replica status` tells how far behind it is, and why.",
    errors.StorageFullError: "Tell the administrator, with the request_id, and try again later.",
    errors.StorageError: "Try again in a moment; if that lasts, tell the request_id.",
    errors.AuthenticatorError: "Try again in a moment; if that lasts, tell the request_id.",
}
_UNKNOWN: Final = "Tell the administrator, with the request_id, which stands in the log, too."
_NO_METHOD: Final = "Use one of the methods that the field Allow names."


def is_api(environ: WSGIEnvironment) -> bool:
    """Whether a request is one of the API, known or not."""
    return bool(_API.match(environ.get("PATH_INFO", "")))


def is_detailed(environ: WSGIEnvironment) -> bool:
    """Whether a request is one of quetz's API, known or not."""
    return bool(_DETAILED.match(environ.get("PATH_INFO", "")))


def title_of(kind: type[BaseException]) -> str:
    """An error's name in words: ``Repository missing``; it never changes."""
    return _WORDS.sub(" ", kind.__name__.removesuffix("Error")).capitalize()


def as_problem(
    response: Response,
    error: Exception | None,
    environ: WSGIEnvironment,
    number: str,
    base: Callable[[], str],
) -> Response:
    """The answer to a request of the API that did not work out, as a problem.

    Its status and fields stay; its text, which tells no secret, becomes the ``detail``.
    ``number`` is that of the request in the log, ``base`` tells the URL of the application.  Other
    answers are returned as they are.
    """
    body = response.body
    if response.status < _REFUSAL or not isinstance(body, bytes) or not is_api(environ):
        return response
    kind = _kind(response, error)
    problem: dict[str, Any] = {
        "type": "about:blank" if kind is None else f"{_docs(base)}#{kind.__name__}",
        "title": REASONS.get(response.status, "Error") if kind is None else title_of(kind),
        "status": response.status,
        "detail": body.decode(errors="replace"),
        "hint": _hint(kind, response.status),
        "request_id": number,
    }
    problems = getattr(error, "problems", ())
    if problems and response.status < _FAILURE:
        problem["errors"] = [{"detail": redact(one)} for one in problems]
    return _as_json(response, problem, MEDIA_TYPE)


def as_detail(response: Response) -> Response:
    """The same in the form of quetz; what has that form stays."""
    body = response.body
    types = [value for name, value in response.headers if name.lower() == "content-type"]
    if not isinstance(body, bytes) or any(one.startswith("application/json") for one in types):
        return response
    return _as_json(response, {"detail": body.decode(errors="replace")}, "application/json")


def _as_json(response: Response, content: dict[str, Any], kind: str) -> Response:
    kept = [one for one in response.headers if one[0].lower() != "content-type"]
    text = json.dumps(content, ensure_ascii=False).encode()
    return Response(response.status, text, (("Content-Type", kind), *kept))


def _kind(response: Response, error: Exception | None) -> type[errors.RepocoreError] | None:
    # What is hidden, what is missing without words of its own, and a path of nobody are one.
    if response.status == _NOT_FOUND and response.body == NOT_FOUND.encode():
        return errors.MissingError
    return type(error) if isinstance(error, errors.RepocoreError) else None


def _hint(kind: type[errors.RepocoreError] | None, status: int) -> str:
    if kind is None:
        return _UNKNOWN if status >= _FAILURE else _NO_METHOD
    return next((HINTS[one] for one in kind.__mro__ if one in HINTS), _UNKNOWN)


def _docs(base: Callable[[], str]) -> str:
    """The page that explains errors, as a path from the root of the server.

    An answer's own place is no good to start from: it may have any number of segments.
    """
    try:
        above = urlsplit(base()).path
    except errors.InvalidPathError:  # the very error may be a Host that is none
        above = ""
    return f"{above}/api/v1/docs"
