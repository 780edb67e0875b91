"""The settings that say how long something lasts are obeyed, each by itself."""

from __future__ import annotations

import io
import time
from datetime import timedelta

import attrs
import jwt
import pytest
from conan_protocol import Client
from tests_manifest import manifest

import repocore
from repocore import Password, Session
from repocore.config import LimitSettings, Settings

MAIN = "conan/main"
REFERENCE = "zlib/1.3/_/_"


def put_recipe(session: Session) -> None:
    for name, data in (
        ("conanfile.py", b"recipe"),
        ("conanmanifest.txt", manifest("conanfile.py")),
    ):
        session.files.put(MAIN, f"{REFERENCE}/r1/export/{name}", io.BytesIO(data))


def collected(settings: Settings) -> dict[str, int]:
    """What a collector takes of one deleted release, one draft and nothing else."""
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(MAIN)
        put_recipe(session)
        session.releases.delete(MAIN, "zlib/1.3@_/_", "r1")
        session.files.put(MAIN, f"{REFERENCE}/r2/export/conanfile.py", io.BytesIO(b"draft"))
        report = session.upkeep.collect()
        return {"blobs": report.blobs, "drafts": report.drafts, "tombstones": report.tombstones}


@pytest.mark.parametrize(
    ("limit", "taken"),
    [
        (None, {"blobs": 0, "drafts": 0, "tombstones": 0}),
        ("draft_lifetime", {"blobs": 0, "drafts": 1, "tombstones": 0}),
        ("blob_grace", {"blobs": 2, "drafts": 0, "tombstones": 0}),
        ("tombstone_lifetime", {"blobs": 0, "drafts": 0, "tombstones": 1}),
    ],
)
def test_collector_waits_for_each_thing_as_long_as_its_setting_says(settings, limit, taken):
    """With one of them at nothing its things go, and no others."""
    limits = LimitSettings(**({limit: timedelta(0)} if limit else {}))
    assert collected(attrs.evolve(settings, limits=limits)) == taken


def test_login_lasts_as_long_as_the_setting_says(tmp_path):
    """The token of a login ends then."""
    limits = LimitSettings(login_lifetime=timedelta(minutes=7))
    with repocore.open_registry(settings=Settings(data=tmp_path, limits=limits)) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(MAIN)
        session.accounts.add("ann", "a password")
        credentials = Password("ann", "a password")
        client = Client(registry, registry.connect(credentials), MAIN, credentials)
        token = client.get("/v2/users/authenticate").text
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == limits.login_lifetime.total_seconds()


def test_downloads_are_written_as_often_as_the_setting_says(tmp_path):
    """With a short interval another process sees a download while this one goes on."""
    limits = LimitSettings(count_interval=timedelta(milliseconds=20))
    mine = Settings(data=tmp_path, limits=limits)
    with (
        repocore.open_registry(settings=mine) as registry,
        repocore.open_registry(settings=Settings(data=tmp_path)) as other,
    ):
        session = registry.session(registry.admin())
        session.repositories.create(MAIN)
        put_recipe(session)
        session.files.open(MAIN, f"{REFERENCE}/r1/export/conanfile.py").close()
        upkeep = other.session(other.admin()).upkeep
        ends = time.monotonic() + 20
        while not list(upkeep.downloads(MAIN)):
            assert time.monotonic() < ends
            time.sleep(0.02)
