"""A registry in memory with a Conan repository, and those who talk to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from conan_protocol import Client

import repocore
from repocore import Registry
from repocore.config import Settings


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder: Path = tmp_path_factory.mktemp("registry")
    settings = Settings(data=folder, storage=f"memory://{uuid.uuid4().hex}")
    with repocore.open_registry(settings=settings) as opened:
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
