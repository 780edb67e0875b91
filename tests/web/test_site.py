"""The pages of the site itself."""

from __future__ import annotations

import sqlite3

import pytest

from repocore.errors import StorageError


def test_health_asks_nobody(site, monkeypatch):
    """A process that serves says so, even when its catalog does not answer."""
    monkeypatch.setattr(site.registry, "session", lambda _who: pytest.fail("asked"))
    answer = site.call("/healthz")
    assert (answer.status, answer.text) == (200, "ok\n")
    assert site.call("/healthz", "HEAD").body == b""


def test_ready_asks_the_catalog(site, monkeypatch):
    """A server is ready when its catalog answers, and only then."""
    assert site.call("/readyz").status == 200

    def broken(*_arguments):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(type(site.admin.repositories), "list", broken)
    assert site.call("/readyz").status == 500

    def down(*_arguments):
        raise StorageError

    monkeypatch.setattr(type(site.admin.repositories), "list", down)
    assert site.call("/readyz").status == 503


def test_front_page_names_what_the_caller_may_read(site):
    """Repositories are listed with their URL for those who may read them, and for nobody else."""
    site.admin.repositories.configure("conan/main", description="ours <b>")
    anonymous = site.call("/")
    assert anonymous.status == 200
    assert "conan/main" not in anonymous.text
    text = site.signed("/").text
    assert "http://server.example/conan/main  ours <b>" in text
    assert site.call("/").headers["content-type"] == "text/plain; charset=utf-8"


def test_front_page_does_not_repeat_a_token(site):
    """URLs that we print for a token's owner do not hold it."""
    _, secret = site.admin.accounts.create_token("writer", "ci")
    text = site.call(f"/t/{secret}/").text
    assert "conan/main" in text
    assert secret not in text
