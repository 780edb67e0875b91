"""``[web]``: what it refuses, and what it is without a word."""

from __future__ import annotations

import pytest

from repocore.config import WebSettings, load_settings
from repocore.errors import ConfigurationError


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('public_url = "packages.example"', "https://packages.example"),
        ('public_url = "https://packages.example?x=1"', "without a user, a query or a fragment"),
        (
            'trusted_proxies = ["proxy.example"]',
            "an address, a network such as 10.0.0.0/8, or unix",
        ),
        ('metrics_from = ["everywhere"]', "an address, a network such as 10.0.0.0/8, or unix"),
        ('prefix = "packages/"', 'a path such as "/packages"'),
        ('sendfile = "fast"', '"x-accel" (nginx)'),
        ('root = "conda/main"', "only a Conan repository has a place at the root"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, line, said) -> None:
    """With the setting's name, and what it would take."""
    (tmp_path / "repocore.toml").write_text(f"[web]\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(data=tmp_path, environ={})
    assert said in str(caught.value)
    assert f"web.{line.partition(' ')[0]}" in str(caught.value)


def test_nothing_is_open_by_itself() -> None:
    """Pages and the API are there; numbers, proxies and addresses that are believed are not."""
    web = WebSettings()
    assert (web.api, web.pages, web.metrics) == (True, True, False)
    assert web.trusted_proxies == web.metrics_from == ()
