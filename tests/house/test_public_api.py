"""The front page: every error and value is reached from `repocore`."""

from __future__ import annotations

import repocore
from repocore import errors, model


def test_the_front_page_lists_every_error_and_value():
    """A name that is public below is public here."""
    assert {*errors.__all__, *model.__all__} <= set(repocore.__all__)
    assert [name for name in repocore.__all__ if not hasattr(repocore, name)] == []
