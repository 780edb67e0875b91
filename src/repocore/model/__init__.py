"""The vocabulary: frozen values without I/O, which every other room speaks in."""

from __future__ import annotations

from repocore.model.access import (
    Action,
    Anonymous,
    ApiKey,
    Bearer,
    Credentials,
    Effect,
    External,
    Grain,
    Password,
    Pattern,
    Principal,
    Resource,
    Rule,
    Survey,
    Tier,
    actions_of,
)
from repocore.model.accounts import Account, SigningKey, Token, check_account_name
from repocore.model.digest import BlobKey, Checksums, Digest, Hasher
from repocore.model.events import (
    AccountChanged,
    Event,
    FileAdded,
    FileRemoved,
    JobFinished,
    JobSubmitted,
    ReleaseAdded,
    ReleaseRemoved,
    RepositoryChanged,
)
from repocore.model.files import Blob, File, FileFacts
from repocore.model.jobs import Job, JobOutput, JobProgress, JobState, Payload
from repocore.model.paths import FilePath, check_segment
from repocore.model.releases import DraftRelease, Release, release_key
from repocore.model.repositories import Mode, Policy, Repository, split_address
from repocore.model.roles import ROLES, Binding, Role

__all__ = [
    "ROLES",
    "Account",
    "AccountChanged",
    "Action",
    "Anonymous",
    "ApiKey",
    "Bearer",
    "Binding",
    "Blob",
    "BlobKey",
    "Checksums",
    "Credentials",
    "Digest",
    "DraftRelease",
    "Effect",
    "Event",
    "External",
    "File",
    "FileAdded",
    "FileFacts",
    "FilePath",
    "FileRemoved",
    "Grain",
    "Hasher",
    "Job",
    "JobFinished",
    "JobOutput",
    "JobProgress",
    "JobState",
    "JobSubmitted",
    "Mode",
    "Password",
    "Pattern",
    "Payload",
    "Policy",
    "Principal",
    "Release",
    "ReleaseAdded",
    "ReleaseRemoved",
    "Repository",
    "RepositoryChanged",
    "Resource",
    "Role",
    "Rule",
    "SigningKey",
    "Survey",
    "Tier",
    "Token",
    "actions_of",
    "check_account_name",
    "check_segment",
    "release_key",
    "split_address",
]
