"""Object stores to test with, as fixtures: a mock, and a real one where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import create_loader
from botocore.retries.standard import ExponentialBackoff
from moto_server import NoMotoError, moto_server
from s3_stores import CURRENT, Store, store_at

from repocore_s3 import clients
from repocore_s3.settings import S3Settings

WANTED = "REPOCORE_TEST_S3"


@pytest.fixture(scope="session")
def _nobody_elses_credentials() -> Iterator[None]:
    """Who runs the tests may have an account of AWS, and is not asked for it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_"):
                patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def _short_pauses() -> Iterator[None]:
    """botocore waits for seconds before it asks again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)
        yield


@pytest.fixture(scope="session")
def _one_loader() -> Iterator[None]:
    """What botocore knows of S3 is read once, and not for each of hundreds of clients."""
    loader = create_loader()
    make = clients._session

    def session(settings: S3Settings) -> Any:
        made = make(settings)
        made.register_component("data_loader", loader)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "_session", session)
        yield


@pytest.fixture(scope="session")
def moto(_nobody_elses_credentials: None) -> Iterator[Store]:
    """The mock, which verifies neither signatures nor checksums."""
    try:
        with moto_server() as address:
            scheme, _, host = address.partition("://")
            yield store_at(f"{scheme}://key:secret@{host}/harbour", real=False)
    except NoMotoError as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def real_store(_nobody_elses_credentials: None) -> Iterator[Store]:
    """The store that REPOCORE_TEST_S3 names."""
    url = os.environ.get(WANTED)
    if not url:
        pytest.skip(f"{WANTED} names no object store")
    made = store_at(url, real=True)
    yield made
    made.clean()


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest, _short_pauses: None, _one_loader: None) -> Store:
    """The real store where there is one, else the mock."""
    made = request.getfixturevalue("real_store" if os.environ.get(WANTED) else "moto")
    CURRENT[:] = [made]
    return made
