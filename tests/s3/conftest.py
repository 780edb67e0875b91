"""Everything here speaks to an object store, and to nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest.importorskip("botocore")


@pytest.fixture(scope="session", autouse=True)
def _ours_alone(_nobody_elses_credentials: None, _short_pauses: None, _one_loader: None) -> None:
    """No account of whoever runs the tests, short pauses, and one reading of what S3 is."""


@pytest.fixture
def few() -> Iterator[None]:
    """Fewer examples: each is many requests."""
    name = settings.get_current_profile_name()
    usual = settings.get_profile(name)
    settings.register_profile("few", parent=usual, max_examples=max(usual.max_examples // 10, 5))
    settings.load_profile("few")
    yield
    settings.load_profile(name)
