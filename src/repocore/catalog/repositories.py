"""Queries on repositories."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, ScalarSelect, delete, func, select, update

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.rows import StoredRepository, options_text, policy_text, repository_of
from repocore.catalog.transactions import Transaction
from repocore.errors import QuotaExceededError
from repocore.model import Repository

__all__ = [
    "add",
    "addresses",
    "charge",
    "counted",
    "everything",
    "forget",
    "forget_grants",
    "hold",
    "replace",
    "used",
]

_t = tables.repositories
_d = tables.documents


def everything(connection: Connection) -> list[StoredRepository]:
    """All repositories, by address."""
    rows = connection.execute(select(_t).order_by(_t.c.format, _t.c.name))
    return [repository_of(row) for row in rows]


def add(transaction: Transaction, repository: Repository) -> bool:
    """Insert one; False where its address is taken."""
    values = {
        "format": repository.format,
        "name": repository.name,
        "mode": repository.mode.value,
        "policy": policy_text(repository.policy),
        "description": repository.description,
        "private": repository.private,
        "options": options_text(repository.options),
        "bytes": 0,
        "created_at": now(),
    }
    added = transaction.insert_missing(_t, values)
    if added:
        transaction.bump_access(repositories=True)
    return added


def hold(transaction: Transaction, number: int) -> Repository | None:
    """One as it is now, and to the commit; None where it is gone."""
    row = transaction.execute(select(_t).where(_t.c.id == number).with_for_update()).first()
    return None if row is None else repository_of(row).value


def replace(transaction: Transaction, number: int, repository: Repository) -> None:
    """Write what can be configured; a quota starts from the bytes that are there."""
    values = {
        "policy": policy_text(repository.policy),
        "description": repository.description,
        "private": repository.private,
        "options": options_text(repository.options),
        "bytes": used(number) if repository.policy.quota is not None else 0,
        "file_count": _count(number) if repository.policy.max_files is not None else 0,
    }
    transaction.execute(update(_t).where(_t.c.id == number).values(**values))
    transaction.bump_access(repositories=True)


def used(number: int) -> ScalarSelect[int]:
    """The bytes of a repository's files, as an expression."""
    size = func.coalesce(func.sum(tables.files.c.size), 0)
    return select(size).where(tables.files.c.repository_id == number).scalar_subquery()


def _count(number: int) -> ScalarSelect[int]:
    files = tables.files
    return select(func.count()).where(files.c.repository_id == number).scalar_subquery()


def counted(connection: Connection, number: int) -> tuple[int, int]:
    """The bytes and the number of a repository's files, each where there is a quota of it."""
    row = connection.execute(select(_t.c.bytes, _t.c.file_count).where(_t.c.id == number)).first()
    return (0, 0) if row is None else (row.bytes, row.file_count)


def charge(
    transaction: Transaction, repository: StoredRepository, size: int, count: int = 0
) -> None:
    """Count bytes and files against the quotas that there are; raises `QuotaExceededError`."""
    policy = repository.value.policy
    if (policy.quota is None or size == 0) and (policy.max_files is None or count == 0):
        return
    grown = {"bytes": _t.c.bytes + size, "file_count": _t.c.file_count + count}
    statement = update(_t).where(_t.c.id == repository.id).values(**grown)
    if policy.quota is not None and size > 0:
        statement = statement.where(_t.c.bytes + size <= policy.quota)
    if policy.max_files is not None and count > 0:
        statement = statement.where(_t.c.file_count + count <= policy.max_files)
    if transaction.execute(statement).rowcount == 0:
        raise QuotaExceededError


def forget(transaction: Transaction, number: int) -> None:
    """Delete a repository with all its rows; its blobs become the collector's."""
    digests = select(tables.files.c.digest).where(tables.files.c.repository_id == number)
    transaction.execute(
        update(tables.blobs).where(tables.blobs.c.digest.in_(digests)).values(touched_at=now())
    )
    transaction.execute(
        update(tables.blobs)
        .where(tables.blobs.c.digest.in_(select(_d.c.digest).where(_d.c.repository_id == number)))
        .values(touched_at=now())
    )
    owned = (
        tables.files,
        tables.releases,
        tables.extras,
        tables.documents,
        tables.generations,
        tables.partitions,
        tables.downloads,
    )
    for table in owned:
        transaction.execute(delete(table).where(table.c.repository_id == number))
    transaction.execute(delete(_t).where(_t.c.id == number))
    transaction.bump_access(rules=True, repositories=True)


def forget_grants(transaction: Transaction, address: str) -> dict[str, int]:
    """Delete the rules and bindings that name a repository itself, or what is in it; how many.

    Whoever makes one of that name later starts without them.  Patterns that mean several stay.
    """
    return {
        table.name: transaction.execute(
            delete(table).where(
                (table.c.pattern == address)
                | (func.substr(table.c.pattern, 1, len(address) + 1) == f"{address}/")
            )
        ).rowcount
        for table in (tables.rules, tables.bindings)
    }


def addresses(repositories: Sequence[StoredRepository]) -> dict[str, StoredRepository]:
    """By address."""
    return {repository.value.address: repository for repository in repositories}
