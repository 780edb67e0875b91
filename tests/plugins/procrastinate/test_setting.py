"""The setting ``runner``: what it may be, and what is said where it cannot."""

from __future__ import annotations

import importlib.util

import attrs
import pytest

import repocore
from repocore import ConfigurationError
from repocore.cli.trial import try_settings
from repocore.config import Settings
from repocore.plugins import procrastinate


@pytest.mark.parametrize("number", ["", "-1", "x", "257"])
def test_a_number_is_wanted(tmp_path, number) -> None:
    """Anything else is refused when the registry opens, with an example."""
    chosen = Settings(data=tmp_path, runner=f"procrastinate:{number}")
    with pytest.raises(ConfigurationError, match="procrastinate:4"):
        repocore.open_registry(settings=chosen)


def test_without_a_number_it_is_four() -> None:
    """As with threads."""
    assert [procrastinate._count(one) for one in ("procrastinate", "procrastinate:0")] == [4, 0]
    assert procrastinate._count("threads:4") is None


def test_sqlite_has_no_such_queue(tmp_path) -> None:
    """The sentence says what to write, and how to move; so does who tries the settings."""
    chosen = Settings(data=tmp_path, runner="procrastinate")
    for use in (lambda: repocore.open_registry(settings=chosen), lambda: try_settings(chosen)):
        with pytest.raises(ConfigurationError, match=r"threads:4.*catalog copy"):
            use()


def test_its_packages_are_of_an_extra(tmp_path, monkeypatch) -> None:
    """Which is named where they are missing."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "procrastinate" else found(name)
    )
    url = "postgresql://nobody@127.0.0.1:9/none"
    chosen = Settings(data=tmp_path, catalog=url, runner="procrastinate")
    with pytest.raises(ConfigurationError, match=r"repocore\[postgres\]"):
        try_settings(chosen)


def test_settings_are_tried_without_the_database(tmp_path) -> None:
    """On an installation of their own: the one that there is may be away."""
    url = "postgresql://nobody@127.0.0.1:9/none"
    chosen = Settings(data=tmp_path, catalog=url, runner="procrastinate:3")
    assert "conda" in try_settings(chosen)
    with pytest.raises(ConfigurationError, match="procrastinate:4"):
        try_settings(attrs.evolve(chosen, runner="procrastinate:many"))
