"""The pages of the site itself."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from tests_manifest import manifest

import repocore
from repocore.registry import Health


def test_health_asks_nobody(site, monkeypatch):
    """A process that serves says so, even when its catalog does not answer."""
    monkeypatch.setattr(site.registry, "session", lambda _who: pytest.fail("asked"))
    answer = site.call("/healthz")
    assert (answer.status, answer.text) == (200, "ok\n")
    assert site.call("/healthz", "HEAD").body == b""


@pytest.mark.parametrize("part", ["catalog", "storage"])
def test_ready_says_what_does_not_answer(site, monkeypatch, part):
    """A server is ready when its catalog and its storage answer, and only then."""
    answer = site.call("/readyz")
    assert answer.status == 200
    assert answer.text == "catalog ok\nstorage ok\nqueue 0 due, the first for 0 s\n"
    health = Health(
        catalog=part != "catalog", storage=part != "storage", waiting=3, wait=timedelta(seconds=9)
    )
    monkeypatch.setattr(site.registry, "health", lambda: health)
    answer = site.call("/readyz")
    assert answer.status == 503
    assert f"{part} failed\n" in answer.text
    queue = "unknown" if part == "catalog" else "3 due, the first for 9 s"
    assert f"queue {queue}\n" in answer.text


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


def test_the_page_of_a_repository(site):
    """What it is, which URL clients take, and which packages it has."""
    path = "/conan/main"
    admin = site.admin
    admin.repositories.configure("conan/main", description="What we build.")
    for name in ("zlib", "bzip2"):
        base = f"{name}/1.3/_/_/r1/export"
        admin.files.put("conan/main", f"{base}/conanfile.py", io.BytesIO(b"x"))
        lines = io.BytesIO(manifest("conanfile.py"))
        admin.files.put("conan/main", f"{base}/conanmanifest.txt", lines)
    refused = site.call(path)
    assert refused.status in {401, 404}
    rule = repocore.Rule(
        subject="*", actions=frozenset({repocore.Action.READ}), pattern="conan/main/bzip2"
    )
    admin.accounts.add_rule(rule)
    told = site.call(path)
    assert told.status == 200, told.text
    assert told.text.splitlines() == [
        "conan/main  What we build.",
        "",
        "Give your package client this URL:",
        "  http://server.example/conan/main",
        "",
        "Packages (1):",
        "  bzip2",
    ]
    missing = site.call(path.replace("main", "void"))
    assert missing.status in {401, 404}
