"""Contracts: functions that return a pytest class, to run on a plugin of your own.

    TestMine = storage_contract(make_storage)

A factory of context managers is called for each test; the class is a fresh one each time.
"""

from __future__ import annotations

from repocore.testing.contracts.authenticator import authenticator_contract
from repocore.testing.contracts.authorizer import authorizer_contract
from repocore.testing.contracts.indexer import indexer_contract
from repocore.testing.contracts.runner import runner_contract
from repocore.testing.contracts.storage import storage_contract

__all__ = [
    "authenticator_contract",
    "authorizer_contract",
    "indexer_contract",
    "runner_contract",
    "storage_contract",
]
