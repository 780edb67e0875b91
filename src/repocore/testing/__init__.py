"""Everything that tests a plugin: contracts, fakes, strategies and machines (extra ``testing``)."""

from __future__ import annotations

from repocore.testing.contracts import (
    authenticator_contract,
    authorizer_contract,
    indexer_contract,
    runner_contract,
    storage_contract,
)
from repocore.testing.registries import temporary_registry

__all__ = [
    "authenticator_contract",
    "authorizer_contract",
    "indexer_contract",
    "runner_contract",
    "storage_contract",
    "temporary_registry",
]
