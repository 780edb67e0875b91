"""``web.prefix``: everything below one path, whatever stands above it."""

from __future__ import annotations

import pytest
from wsgi_calls import BAD_SEGMENTS

from repocore.config import WebSettings
from repocore.config.structuring import structure
from repocore.errors import ConfigurationError
from repocore_web import mount

FILE = "/conan/main/v2/conans/zlib/1.3/_/_/revisions/r1/files/conanfile.py"


@pytest.fixture
def below(open_site):
    site = open_site(WebSettings(prefix="/pack/ages"))
    site.publish()
    return site


def test_everything_is_below_the_prefix(below):
    """Health, repositories, tokens in the path and the API; nothing beside it."""
    assert below.call("/pack/ages/healthz").text == "ok\n"
    assert below.signed(f"/pack/ages{FILE}").body == b"0123456789"
    assert below.signed("/pack/ages/api/v1/jobs").status == 200
    _, secret = below.admin.accounts.create_token("writer", "ci")
    assert below.call(f"/pack/ages/t/{secret}{FILE}").body == b"0123456789"
    for path in ("/healthz", FILE, "/api/v1/jobs", "/pack/agesx/healthz", "/pack", "/"):
        assert below.signed(path).status == 404


@pytest.mark.parametrize("end", ["", "/"])
def test_addresses_have_the_prefix(below, end):
    """The front page tells them, with and without a slash at the end of its own."""
    assert "http://server.example/pack/ages/conan/main" in below.signed(f"/pack/ages{end}").text


def test_a_mount_stands_above_the_prefix(below):
    """What the server took off the path is there in addresses."""
    page = below.signed("/above/pack/ages", script="/above").text
    assert "http://server.example/above/pack/ages/conan/main" in page


def test_a_public_url_stands_above_the_prefix(open_site):
    """And so does a proxy's own."""
    site = open_site(WebSettings(prefix="/packages", public_url="https://one.example/two/"))
    site.allow("*", "read")
    assert "https://one.example/two/packages/conan/main" in site.call("/packages").text


def test_one_application_beside_another_has_the_prefix_too(below):
    """The mount's path comes first, as it does for the server's."""

    def other(_environ, start_response):
        start_response("418 Teapot", [])
        return [b""]

    both = mount(other, "/top", below.registry)
    site = type(below)(both, below.registry)
    assert site.call("/healthz").status == 418
    assert site.call("/top/pack/ages/healthz").status == 200
    assert site.call("/top/healthz").status == 404


@pytest.mark.parametrize("bad", BAD_SEGMENTS)
def test_bad_spellings_are_refused_below_it(below, bad):
    """As they are without it."""
    assert below.signed(f"/pack/ages/conan/{bad}/v1/ping").status in {400, 404}


@pytest.mark.parametrize(
    "wrong", ["packages", "/", "/a/", "/a//b", "/a b", "/..", "/a/./b", "/%41"]
)
def test_what_is_no_prefix_is_refused(wrong):
    """It starts with a slash, ends in none, and is spelled plainly."""
    with pytest.raises(ConfigurationError, match="prefix"):
        structure({"prefix": wrong}, WebSettings)


def test_pages_can_be_switched_off(open_site):
    """The front page goes; what programs use stays."""
    site = open_site(WebSettings(pages=False))
    assert site.call("/").status == 404
    assert site.call("/healthz").status == 200
    assert site.call("/api/v1/docs").status == 404


def test_the_api_can_be_switched_off(open_site):
    """Every one of its routes is nobody's."""
    site = open_site(WebSettings(api=False))
    assert site.signed("/api/v1/jobs").status == 404
    assert site.signed("/").status == 200
