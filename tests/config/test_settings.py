"""What settings are when nobody says anything, and what each accepts."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from repocore.config import LimitSettings, Settings, WebSettings, load_settings
from repocore.config.settings import POLICY
from repocore.errors import ConfigurationError
from repocore.model import Policy


def test_data_is_all_that_is_needed():
    """Every other setting has a default."""
    assert Settings(data=Path("d")).limits == LimitSettings()


def test_every_part_of_a_policy_has_its_meaning():
    """The meanings that stand beside the class of a lower floor are those of its fields."""
    assert POLICY.keys() == attrs.fields_dict(Policy).keys()


@pytest.mark.parametrize("url", ["https://packages.example", "http://[::1]:9300/below"])
def test_public_urls(tmp_path, url):
    """A public URL has a scheme and a host, and may have a path."""
    assert load(tmp_path, "WEB__PUBLIC_URL", url).public_url == url


@pytest.mark.parametrize("url", ["packages.example", "ftp://x", "https://u:p@x", "https://x?a=b"])
def test_no_public_urls(tmp_path, url):
    """A user, a query, another scheme are refused."""
    with pytest.raises(ConfigurationError, match=r"web\.public_url"):
        load(tmp_path, "WEB__PUBLIC_URL", url)


@pytest.mark.parametrize("value", ["x-accel", "x-sendfile"])
def test_who_sends_files(tmp_path, value):
    """There are two ways to let another server send a body."""
    assert load(tmp_path, "WEB__SENDFILE", value).sendfile == value


def load(data: Path, name: str, value: str) -> WebSettings:
    return load_settings(data=data, environ={f"REPOCORE__{name}": value}).web
