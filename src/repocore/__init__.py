"""repocore: the package repository that everyone embeds.

    with repocore.open_registry(data="d") as registry:
        session = registry.session(registry.admin())
        session.repositories.create("conan/main")
        session.files.put("conan/main", path, stream)

What is heavy (the catalog, the registry) is loaded at its first use, so that a plugin module may
say ``from repocore import hookimpl`` for next to nothing (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from repocore.errors import (
    AccessDeniedError,
    AccessError,
    AlreadyExistsError,
    AuthenticatorError,
    BlobMissingError,
    ChecksumMismatchError,
    ConfigurationError,
    ConflictError,
    DocumentPendingError,
    DuplicateDocumentError,
    DuplicateFormatError,
    FileMissingError,
    ImmutableFileError,
    InvalidPackageError,
    InvalidPathError,
    JobCancelledError,
    JobError,
    JobMissingError,
    JobTimeoutError,
    LengthRequiredError,
    MissingError,
    NoPluginForUrlError,
    NotAuthenticatedError,
    PluginError,
    QuotaExceededError,
    RejectedError,
    ReleaseMissingError,
    RepocoreError,
    RepositoryMissingError,
    StorageError,
    StorageFullError,
    TooLargeError,
    TruncatedError,
    UploadRejectedError,
)
from repocore.markers import hookimpl, hookspec
from repocore.model import (
    ROLES,
    Account,
    AccountChanged,
    Action,
    Anonymous,
    ApiKey,
    Bearer,
    Binding,
    Blob,
    BlobKey,
    Checksums,
    Credentials,
    Digest,
    DraftRelease,
    Effect,
    Event,
    External,
    File,
    FileAdded,
    FileFacts,
    FilePath,
    FileRemoved,
    Grain,
    Hasher,
    Job,
    JobFinished,
    JobOutput,
    JobProgress,
    JobState,
    JobSubmitted,
    Mode,
    Password,
    Pattern,
    Payload,
    Policy,
    Principal,
    Release,
    ReleaseAdded,
    ReleaseRemoved,
    Repository,
    RepositoryChanged,
    Resource,
    Role,
    Rule,
    SigningKey,
    Survey,
    Tier,
    Token,
    actions_of,
    check_account_name,
    check_segment,
    release_key,
    split_address,
)

if TYPE_CHECKING:
    from repocore.config import Settings
    from repocore.plugin_manager import open_registry
    from repocore.registry import Registry, Session

__all__ = [
    "ROLES",
    "AccessDeniedError",
    "AccessError",
    "Account",
    "AccountChanged",
    "Action",
    "AlreadyExistsError",
    "Anonymous",
    "ApiKey",
    "AuthenticatorError",
    "Bearer",
    "Binding",
    "Blob",
    "BlobKey",
    "BlobMissingError",
    "ChecksumMismatchError",
    "Checksums",
    "ConfigurationError",
    "ConflictError",
    "Credentials",
    "Digest",
    "DocumentPendingError",
    "DraftRelease",
    "DuplicateDocumentError",
    "DuplicateFormatError",
    "Effect",
    "Event",
    "External",
    "File",
    "FileAdded",
    "FileFacts",
    "FileMissingError",
    "FilePath",
    "FileRemoved",
    "Grain",
    "Hasher",
    "ImmutableFileError",
    "InvalidPackageError",
    "InvalidPathError",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobFinished",
    "JobMissingError",
    "JobOutput",
    "JobProgress",
    "JobState",
    "JobSubmitted",
    "JobTimeoutError",
    "LengthRequiredError",
    "MissingError",
    "Mode",
    "NoPluginForUrlError",
    "NotAuthenticatedError",
    "Password",
    "Pattern",
    "Payload",
    "PluginError",
    "Policy",
    "Principal",
    "QuotaExceededError",
    "Registry",
    "RejectedError",
    "Release",
    "ReleaseAdded",
    "ReleaseMissingError",
    "ReleaseRemoved",
    "RepocoreError",
    "Repository",
    "RepositoryChanged",
    "RepositoryMissingError",
    "Resource",
    "Role",
    "Rule",
    "Session",
    "Settings",
    "SigningKey",
    "StorageError",
    "StorageFullError",
    "Survey",
    "Tier",
    "Token",
    "TooLargeError",
    "TruncatedError",
    "UploadRejectedError",
    "actions_of",
    "check_account_name",
    "check_segment",
    "hookimpl",
    "hookspec",
    "open_registry",
    "release_key",
    "split_address",
]

__version__ = "0.1.0"

_LATER = {
    "Registry": "repocore.registry",
    "Session": "repocore.registry",
    "Settings": "repocore.config",
    "open_registry": "repocore.plugin_manager",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
