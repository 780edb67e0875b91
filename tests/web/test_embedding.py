"""A registry below a prefix of another application."""

from __future__ import annotations

import pytest
from wsgi_calls import call

from repocore.errors import InvalidPathError
from repocore_web import mount


def own(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"own {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]


def test_both_answer(site):
    """Below the prefix the registry answers, everywhere else the application, untouched."""
    app = mount(own, "/pkgs", site.registry)
    assert call(app, "/pkgs/healthz").text == "ok\n"
    assert call(app, "/pkgs/conan/main/v1/ping").status == 200
    for path in ("/", "/other", "/pkgsx", "/a/pkgs/healthz", "//pkgs/healthz"):
        assert call(app, path).text == f"own |{path}"


def test_urls_have_the_prefix(site):
    """A URL that the registry prints leads back to it."""
    site.allow("*", "read")
    app = mount(own, "/pkgs", site.registry)
    assert "http://server.example/pkgs/conan/main" in call(app, "/pkgs/").text
    assert "http://server.example/pkgs/conan/main" in call(app, "/pkgs").text


def test_prefixes_add_up(site):
    """A mount below a mount is known by both."""
    site.allow("*", "read")
    app = mount(own, "/in", site.registry)
    assert "http://server.example/out/in/conan/main" in call(app, "/out/in/", script="/out").text


def test_prefix_beyond_ascii(site):
    """A prefix in any script is found in what the server decoded."""
    app = mount(own, "/pakete-ü", site.registry)
    assert call(app, "/pakete-%C3%BC/healthz").text == "ok\n"


def test_token_after_the_prefix(site):
    """A token in the URL may follow the mount."""
    _, secret = site.admin.accounts.create_token("writer", "ci")
    app = mount(own, "/pkgs", site.registry)
    path = "conan/main/v2/users/check_credentials"
    assert call(app, f"/pkgs/t/{secret}/{path}").status == 200
    assert call(app, f"/pkgs/{path}").status == 401


@pytest.mark.parametrize("prefix", ["", "/", "pkgs", "/pkgs/", "//pkgs", "/a/../b"])
def test_prefix_is_a_path(prefix, site):
    """What is no normal path is no prefix."""
    with pytest.raises(InvalidPathError):
        mount(own, prefix, site.registry)
