"""Every table and index of the catalog.

::

    repositories ─┬─ partitions ─┬─ releases ─┐   extras: more bytes of a release
                  │              └─ generations ── documents: what is derived from releases
                  └─ files ───────────────────┘   files.(partition, release) names a release
                       └── digest → blobs         blobs.(digest, generation) names a stored object
    accounts ─┬─ tokens                           access.version: bumped by every change of
              └─ groups                           repositories, accounts, groups, tokens, rules,
                                                  roles
    rules · roles · bindings · keys · identities · attempts · spent · audit · seals
    downloads · events · jobs · schedules · rounds · leases · compatibility
    replication

Times are whole microseconds since 1970 (UTC) by the database's clock.  A release is a *draft*
while ``released_at`` is null, a *tombstone* once ``removed_at`` is set, *visible* otherwise.
"""

from __future__ import annotations

from repocore.catalog.tables.access import (
    access,
    accounts,
    attempts,
    audit,
    bindings,
    groups,
    identities,
    keys,
    roles,
    rules,
    seals,
    spent,
    tokens,
)
from repocore.catalog.tables.content import (
    blobs,
    documents,
    downloads,
    extras,
    files,
    generations,
    partitions,
    releases,
    repositories,
)
from repocore.catalog.tables.names import METADATA
from repocore.catalog.tables.work import (
    compatibility,
    events,
    job_output,
    jobs,
    leases,
    replication,
    rounds,
    schedules,
)

__all__ = [
    "METADATA",
    "access",
    "accounts",
    "attempts",
    "audit",
    "bindings",
    "blobs",
    "compatibility",
    "documents",
    "downloads",
    "events",
    "extras",
    "files",
    "generations",
    "groups",
    "identities",
    "job_output",
    "jobs",
    "keys",
    "leases",
    "partitions",
    "releases",
    "replication",
    "repositories",
    "roles",
    "rounds",
    "rules",
    "schedules",
    "seals",
    "spent",
    "tokens",
]
