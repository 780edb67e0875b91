"""Everything that repocore raises on purpose.

Each error is a small value: fields say what happened, ``str()`` is one sentence for a person and
says what to do next where that is not obvious.  No message holds a secret or a path of the server.
HTTP statuses are not here: :func:`repocore.http.status_for` knows them.

All of them survive pickling, so a worker process can hand them back.
"""

from __future__ import annotations

import attrs

__all__ = [
    "AccessDeniedError",
    "AccessError",
    "AlreadyExistsError",
    "AuthenticatorError",
    "BlobMissingError",
    "ChecksumMismatchError",
    "ConfigurationError",
    "ConflictError",
    "DocumentPendingError",
    "DuplicateDocumentError",
    "DuplicateFormatError",
    "FileMissingError",
    "ImmutableFileError",
    "InvalidPackageError",
    "InvalidPathError",
    "InvalidRequestError",
    "JobCancelledError",
    "JobError",
    "JobMissingError",
    "JobTimeoutError",
    "LengthRequiredError",
    "MissingError",
    "NoPluginForUrlError",
    "NotAuthenticatedError",
    "PluginError",
    "PreconditionFailedError",
    "QuotaExceededError",
    "ReadOnlyError",
    "RejectedError",
    "ReleaseMissingError",
    "ReplicaError",
    "ReplicaReadOnlyError",
    "RepocoreError",
    "RepositoryMissingError",
    "StorageError",
    "StorageFullError",
    "TooLargeError",
    "TooManyAttemptsError",
    "TruncatedError",
    "UploadRejectedError",
    "UpstreamError",
    "UpstreamRefusedError",
    "UpstreamUnavailableError",
]


@attrs.define(eq=False)
class RepocoreError(Exception):
    """The root of the house's errors: one sentence."""

    message: str

    def __str__(self) -> str:
        return self.message


@attrs.define(eq=False)
class ConfigurationError(RepocoreError):
    """Settings or a plugin's set-up are wrong; ``problems`` lists every one of them."""

    message: str = "The settings are not usable."
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((self.message, *(f"  - {problem}" for problem in self.problems)))


@attrs.define(eq=False)
class MissingError(RepocoreError, LookupError):
    """Something that was asked for by name is not there, or may not be seen."""


@attrs.define(eq=False)
class RepositoryMissingError(MissingError):
    """No repository of that address (``format/name``)."""

    message: str = "There is no such repository."


@attrs.define(eq=False)
class FileMissingError(MissingError):
    """No visible file at that path of the repository."""

    message: str = "There is no such file."


@attrs.define(eq=False)
class ReleaseMissingError(MissingError):
    """No visible release of that name in the partition."""

    message: str = "There is no such release."


@attrs.define(eq=False)
class JobMissingError(MissingError):
    """No job of that number, or it is somebody else's."""

    message: str = "There is no such job."


@attrs.define(eq=False)
class AccessError(RepocoreError):
    """The principal may not do that."""


@attrs.define(eq=False)
class NotAuthenticatedError(AccessError):
    """Credentials are needed, or those that were sent are wrong or have expired."""

    message: str = "Sign in to do this."


@attrs.define(eq=False)
class TooManyAttemptsError(AccessError):
    """Signing in failed too often; nothing was looked at, so it says nothing of the credentials."""

    message: str = "Too many attempts to sign in have failed; wait before you try again."
    #: Seconds until an attempt is looked at again.
    retry_after: int = 1


@attrs.define(eq=False)
class AuthenticatorError(RepocoreError):
    """Who sends the credentials cannot be found out now: a directory does not answer.

    It says nothing about the credentials; the cause is chained, its text goes to the log only.
    """

    message: str = "Nobody can be signed in just now; try again later."


@attrs.define(eq=False)
class AccessDeniedError(AccessError):
    """A known principal lacks a permission.

    ``hidden`` is true where the principal may not even read: an adapter then answers as if the
    thing did not exist.
    """

    message: str = "Permission denied."
    hidden: bool = False


@attrs.define(eq=False)
class ConflictError(RepocoreError):
    """The request contradicts what is there."""


@attrs.define(eq=False)
class AlreadyExistsError(ConflictError):
    """A thing of that name exists."""


@attrs.define(eq=False)
class ImmutableFileError(ConflictError):
    """A released file would get other bytes, and the permission or the policy does not allow it."""

    message: str = "The file is published and cannot be replaced."


@attrs.define(eq=False)
class PreconditionFailedError(ConflictError):
    """A request was to hold for one state of a thing only, and the thing has another."""

    message: str = "It was changed since; look at it again before you change it."


@attrs.define(eq=False)
class RejectedError(RepocoreError, ValueError):
    """What was sent is not acceptable."""


@attrs.define(eq=False)
class InvalidRequestError(RejectedError):
    """Fields of a request cannot be as they are; ``problems`` says so of every one of them."""

    message: str = "The request cannot be taken as it is."
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.message, *self.problems))


@attrs.define(eq=False)
class InvalidPathError(RejectedError):
    """A path or name that is not in the one normal form, or not of the format."""

    message: str = "The path is not valid."


@attrs.define(eq=False)
class InvalidPackageError(RejectedError):
    """The content is not what its path says."""

    message: str = "The package is not valid."


@attrs.define(eq=False)
class ChecksumMismatchError(RejectedError):
    """The bytes that arrived are not those that were announced."""

    message: str = "The content does not match its announced checksum; send it again."


@attrs.define(eq=False)
class TruncatedError(RejectedError):
    """The body ended before its announced length."""

    message: str = "The body ended early; send it again."


@attrs.define(eq=False)
class LengthRequiredError(RejectedError):
    """A body of unknown extent: neither a length nor an end that the server can see."""

    message: str = "Send the body with a Content-Length, or chunked."


@attrs.define(eq=False)
class UploadRejectedError(RejectedError):
    """A plugin's veto; the message is the plugin's."""


@attrs.define(eq=False)
class TooLargeError(RejectedError):
    """One body is over the limit of its repository or of the settings."""

    message: str = "The file is larger than this repository accepts."


@attrs.define(eq=False)
class QuotaExceededError(RejectedError):
    """The repository's quota, of bytes or of files, has no room for what was sent."""

    message: str = (
        "The repository's quota of bytes or of files has no room for this; "
        "delete something, or ask for a larger one."
    )


@attrs.define(eq=False)
class StorageError(RepocoreError):
    """The storage failed; the cause is chained, its text goes to the log only."""

    message: str = "The storage failed; try again later."


@attrs.define(eq=False)
class DocumentPendingError(StorageError):
    """A document is being made for the first time, and takes long."""

    message: str = "The document is being made; ask again in a moment."


@attrs.define(eq=False)
class BlobMissingError(StorageError):
    """The storage holds no bytes under that key, though the catalog names it."""

    message: str = "The server has lost stored bytes; its administrator runs `repocore check`."


@attrs.define(eq=False)
class StorageFullError(StorageError):
    """No space is left; nothing was changed."""

    message: str = "The server's storage is full; nothing was changed."


@attrs.define(eq=False)
class ReadOnlyError(RepocoreError):
    """The registry is read-only by its settings; nothing was changed."""

    message: str = "This registry is read-only at the moment; nothing was changed. Try again later."


@attrs.define(eq=False)
class ReplicaReadOnlyError(ReadOnlyError):
    """The registry follows another one, where changes are made; nothing was changed."""

    message: str = "This registry is a replica, and nothing was changed; use its primary."


@attrs.define(eq=False)
class ReplicaError(RepocoreError):
    """A replica cannot follow its primary, or must not be promoted yet; the message says why."""


@attrs.define(eq=False)
class PluginError(RepocoreError):
    """A plugin is missing, doubled or broken."""


@attrs.define(eq=False)
class NoPluginForUrlError(PluginError):
    """No registered plugin opens a URL of that scheme."""


@attrs.define(eq=False)
class DuplicateDocumentError(PluginError):
    """Two documents of one path, or one outside of what its indexer is for."""


@attrs.define(eq=False)
class DuplicateFormatError(PluginError):
    """Two plugins bring a format of one name."""


@attrs.define(eq=False)
class JobError(RepocoreError):
    """A job cannot be done.  A handler raises it where another attempt would not help either."""


@attrs.define(eq=False)
class JobCancelledError(JobError):
    """A job was asked to give up; ``Progress.check`` raises it, and a handler lets it pass."""

    message: str = "The job was cancelled."


@attrs.define(eq=False)
class JobTimeoutError(JobError):
    """A job takes longer than it may, or than somebody would wait."""

    message: str = "The job did not end in time."


@attrs.define(eq=False)
class UpstreamError(RepocoreError):
    """Another server that has to be asked cannot be, or may not be."""

    message: str = "Another server that has to be asked cannot be; try again later."


@attrs.define(eq=False)
class UpstreamUnavailableError(UpstreamError):
    """Another server does not answer, or not what was expected; the cause is for the log only.

    ``status`` is its answer's, where there was one.
    """

    message: str = "Another server that has to be asked does not answer; try again later."
    status: int | None = None


@attrs.define(eq=False)
class UpstreamRefusedError(UpstreamError):
    """A URL leads to where the server must not connect; the settings can allow it."""

    message: str = (
        "The server does not connect to that address, as it is not a public one; its "
        "administrator can allow it in the settings."
    )
