"""A registry of each deployment with a Conan repository, and those who talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conan_protocol import Client

import repocore
from repocore import Registry
from repocore.config import Settings


@pytest.fixture(scope="module")
def registry(deployment: Settings) -> Iterator[Registry]:
    with repocore.open_registry(settings=deployment) as opened:
        yield opened


@pytest.fixture
def repository(registry: Registry) -> Iterator[str]:
    """The address of an empty repository."""
    room = registry.session(registry.admin()).repositories
    address = room.create("conan/main").address
    yield address
    room.delete(address)


@pytest.fixture
def conan(registry: Registry, repository: str) -> Client:
    """The embedding application, which may do everything."""
    return Client(registry, registry.session(registry.admin()), repository)
