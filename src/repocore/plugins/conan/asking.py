"""What a request of the Conan protocol asks for, and the words for what is missing.

Scripts look for these texts.  What is missing and what is hidden is told in the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from repocore.errors import (
    AccessDeniedError,
    ChecksumMismatchError,
    InvalidPackageError,
    InvalidPathError,
    MissingError,
    UploadRejectedError,
)
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action, Digest, release_key
from repocore.plugins.conan.references import (
    ConanReference,
    PackageReference,
    check_id,
    reference,
)
from repocore.plugins.conan.settings import ConanSettings
from repocore.registry import Session

__all__ = [
    "Handler",
    "announced_by",
    "conan_route",
    "finding",
    "no_file",
    "no_package",
    "no_package_revision",
    "no_packages",
    "no_recipe",
    "no_repository",
    "package_of",
    "prev_of",
    "recipe_of",
    "rrev_of",
]

Handler = Callable[[Session, Request], Response]

_FORBIDDEN: Final = "Permission denied"


def recipe_of(request: Request) -> ConanReference:
    """The recipe that the path names."""
    fields = request.fields
    return reference(fields["name"], fields["version"], fields["user"], fields["channel"])


def package_of(request: Request) -> PackageReference:
    """The package that the path names."""
    return PackageReference(
        recipe_of(request), request.fields["rrev"], request.fields["package_id"]
    )


def rrev_of(request: Request) -> str:
    """Its recipe revision."""
    return check_id("recipe revision", request.fields["rrev"])


def prev_of(request: Request) -> str:
    """Its package revision."""
    return check_id("package revision", request.fields["prev"])


def no_recipe(request: Request) -> str:
    """What is said where a recipe or its revision is not there."""
    # The messages of the protocol write @_/_ where there is no user, as a partition does.
    partition = recipe_of(request).partition
    rrev = request.fields.get("rrev")
    return f"Recipe not found: '{partition if rrev is None else release_key(partition, rrev)}'"


def no_package(request: Request) -> str:
    """What is said where a package is not there."""
    return f"Binary package not found: '{package_of(request).partition}'"


def no_package_revision(request: Request) -> str:
    """What is said where a package revision is not there."""
    key = release_key(package_of(request).partition, prev_of(request))
    return f"Binary package not found: '{key}'"


def no_packages(request: Request) -> str:
    """What is said where a recipe revision has no packages."""
    return f"No packages found: '{release_key(recipe_of(request).partition, rrev_of(request))}'"


def no_repository(request: Request) -> str:
    """What is said where nothing of a repository may be read."""
    return f"Repository not found: '{request.repository}'"


def no_file(_request: Request) -> str:
    """What is said where a file is not there."""
    return "File not found"


def finding(handler: Handler, missing: Callable[[Request], str]) -> Handler:
    """Answer 404 in the protocol's words, the same for what is missing and what is hidden.

    With ``forbid`` in the settings what is hidden is 403, whether it is there or not.
    """

    def answer(session: Session, request: Request) -> Response:
        try:
            return handler(session, request)
        except MissingError:
            return Response.text(missing(request), 404)
        except AccessDeniedError as error:
            if not error.hidden:
                raise
            settings: ConanSettings = session.registry.plugin_settings("conan")
            if settings.forbid:
                return Response.text(_FORBIDDEN, 403)
            return Response.text(missing(request), 404)

    answer.__doc__ = handler.__doc__
    return answer


# A client repeats an upload that was answered 422, and stops at 400.
_ERRORS: Final[dict[type[Exception], int]] = {InvalidPackageError: 400, UploadRejectedError: 400}


def conan_route(
    method: str, template: str, handler: Handler, permission: Action | Admits
) -> Route[Session]:
    """A route of Conan repositories; its summary is the first line of the handler's docstring."""
    summary = (handler.__doc__ or "").strip().splitlines()[0]
    return Route(
        method=method,
        template=template,
        handler=handler,
        summary=summary,
        permission=permission,
        format="conan",
        errors=_ERRORS if method == "PUT" else {},
    )


def announced_by(request: Request) -> tuple[Digest, ...]:
    """The checksums that the client says its file has."""
    sent = ((name, request.headers.get(f"X-Checksum-{name}")) for name in ("Sha1", "Sha256"))
    try:
        return tuple(Digest(name.lower(), value.lower()) for name, value in sent if value)
    except InvalidPathError as error:
        message = "An X-Checksum field is not the checksum in hex."
        raise ChecksumMismatchError(message) from error
