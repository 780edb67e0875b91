"""What records of changes tell of: where a replica has to look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from repocore.errors import InvalidPathError
from repocore.model import FilePath
from repocore.registry.services import Services

__all__ = ["Touched", "touched_by"]

_RELEASES: Final = frozenset({"release.added", "release.removed", "release.yanked"})
_FILES: Final = frozenset({"file.added", "file.removed"})


@attrs.frozen(kw_only=True)
class Touched:
    """What may be other than before."""

    #: Partitions, by the address of their repository.
    partitions: frozenset[tuple[str, str]] = frozenset()
    #: Repositories with files of no release.
    loose: frozenset[str] = frozenset()
    #: Whether a repository came, went or was configured.
    repositories: bool = False
    #: Whether accounts, groups, tokens, identities, rules or roles did.
    accounts: bool = False

    def joined(self, other: Touched) -> Touched:
        """What either tells of but partitions and files, of which there may be very many."""
        return Touched(
            repositories=self.repositories or other.repositories,
            accounts=self.accounts or other.accounts,
        )


def touched_by(services: Services, records: Iterable[Mapping[str, Any]]) -> Touched:
    """What these rows of ``audit`` tell of."""
    partitions: set[tuple[str, str]] = set()
    loose: set[str] = set()
    repositories = accounts = False
    for row in records:
        kind = row["kind"]
        repositories |= kind == "repository.changed"
        accounts |= kind == "account.changed"
        if kind not in _RELEASES | _FILES:
            continue
        details = json.loads(row["details"])
        address = details["repository"]
        partition = details.get("partition") or _partition_of(services, address, details)
        if partition is None:
            loose.add(address)
        else:
            partitions.add((address, partition))
    return Touched(
        partitions=frozenset(partitions),
        loose=frozenset(loose),
        repositories=repositories,
        accounts=accounts,
    )


def _partition_of(services: Services, address: str, details: Mapping[str, Any]) -> str | None:
    format_ = services.formats.get(address.partition("/")[0])
    if format_ is None:
        return None
    try:
        return format_.locate(FilePath.parse(details["path"])).partition
    except InvalidPathError:
        return None
