"""The verbs: what a registry does with its repositories, files, releases and accounts.

`Registry` is one opened installation, `Session` is it acting for one principal.  Everything else
here is a room of the session, reached as its attribute.
"""

from __future__ import annotations

from repocore.registry.access import Access
from repocore.registry.auditing import CollectReport
from repocore.registry.backup_folders import Backup, BackupFolder
from repocore.registry.backups import BackupReport, verify_backup
from repocore.registry.checking import CheckReport
from repocore.registry.databases import (
    CatalogCopy,
    CopiedTable,
    MigrationPlan,
    Revision,
    copy_catalog,
    migrate_catalog,
    plan_migration,
)
from repocore.registry.doubting import (
    Known,
    settings_doubts,
    stored_doubts,
    subject_doubts,
    where_doubts,
)
from repocore.registry.handover import Handover
from repocore.registry.health import Health
from repocore.registry.key_sets import SIGNATURES, KeySet
from repocore.registry.late_files import LateFile
from repocore.registry.passwords import TOKEN_PREFIX, hash_password, verify_password
from repocore.registry.pulling import PullReport
from repocore.registry.registry import Registry
from repocore.registry.releases import AT_ONCE
from repocore.registry.repairing import RepairReport, Replica
from repocore.registry.replicas import PartitionLag, ReplicaStatus
from repocore.registry.replication import FileState, ReleaseState, Replication, Wanted
from repocore.registry.restoring import RestoreReport
from repocore.registry.retention import Outdated, RetentionReport
from repocore.registry.session import Session
from repocore.registry.statistics import Backlog, Downloads, Usage, UsageReport
from repocore.registry.tracing import Tracing
from repocore.registry.uploading import Upload
from repocore.registry.upstream import UpstreamClient
from repocore.registry.working import Claim, Worker

__all__ = [
    "AT_ONCE",
    "SIGNATURES",
    "TOKEN_PREFIX",
    "Access",
    "Backlog",
    "Backup",
    "BackupFolder",
    "BackupReport",
    "CatalogCopy",
    "CheckReport",
    "Claim",
    "CollectReport",
    "CopiedTable",
    "Downloads",
    "FileState",
    "Handover",
    "Health",
    "KeySet",
    "Known",
    "LateFile",
    "MigrationPlan",
    "Outdated",
    "PartitionLag",
    "PullReport",
    "Registry",
    "ReleaseState",
    "RepairReport",
    "Replica",
    "ReplicaStatus",
    "Replication",
    "RestoreReport",
    "RetentionReport",
    "Revision",
    "Session",
    "Tracing",
    "Upload",
    "UpstreamClient",
    "Usage",
    "UsageReport",
    "Wanted",
    "Worker",
    "copy_catalog",
    "hash_password",
    "migrate_catalog",
    "plan_migration",
    "settings_doubts",
    "stored_doubts",
    "subject_doubts",
    "verify_backup",
    "verify_password",
    "where_doubts",
]
