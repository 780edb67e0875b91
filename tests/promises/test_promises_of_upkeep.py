"""What we promise whoever looks after a server: it does not fill up, and what it holds is known."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from tests_manifest import manifest
from wsgi_calls import call

import repocore
from repocore import Policy
from repocore.config import RetentionSettings, Settings
from repocore_web import create_app

MAIN = "conan/main"


def test_a_quota_is_kept(house) -> None:
    """What does not fit is refused with a reason, and leaves nothing; what fits is taken."""
    base = house.recipe("quota", "r1")
    used = sum(file.size for file in house.admin.files.list(MAIN))
    house.admin.repositories.configure(MAIN, policy=Policy(quota=used + 100))
    try:
        archive = f"{base}/revisions/r1/files/metadata/log.txt"
        before = house.listing()
        answer = house.signed(archive, "PUT", body=b"x" * 101)
        assert (answer.status, "quota" in answer.text.lower()) == (413, True)
        assert house.listing() == before
        house.put(archive, b"x" * 100)
    finally:
        house.admin.repositories.configure(MAIN, policy=Policy())


def test_old_revisions_can_go_by_themselves(house) -> None:
    """A policy keeps the last two of each recipe, says before what goes, and takes it whole."""
    for rrev in ("r1", "r2", "r3"):
        base = house.recipe("retained", rrev)
        house.package("retained", rrev, f"p{rrev}")
    policies = [RetentionSettings(pattern=f"{MAIN}/retained/*", keep_last=2)]
    plan = [(one.release, one.releases) for one in house.admin.retention.plan(policies)]
    assert plan == [("r1", 2)]
    assert house.revisions(base) == ["r3", "r2", "r1"]
    assert house.admin.retention.apply(policies).releases == 2
    assert house.revisions(base) == ["r3", "r2"]
    assert house.ask(f"{base}/revisions/r1/packages/pid/latest").status == 404


def test_unfinished_uploads_are_collected(house) -> None:
    """With their bytes, while the server runs; what is published stays whole."""
    base = house.recipe("finished", "r1")
    house.admin.upkeep.collect(grace=timedelta(0))
    house.put("/v2/conans/begun/1.0/_/_/revisions/r1/files/conanfile.py", b"half an upload")
    assert house.admin.upkeep.collect().drafts == 0  # somebody may be sending the rest
    report = house.admin.upkeep.collect(grace=timedelta(0))
    assert (report.drafts, report.blobs) == (1, 1)
    assert not [path for path, _ in house.listing() if path.startswith("begun/")]
    assert house.ask(f"{base}/revisions/r1/files/conanfile.py").body == b"recipe finished r1"


def test_the_same_bytes_are_stored_once(house) -> None:
    """Whatever they are called; a client that names them by their sum need not send them."""
    base = house.recipe("twice", "r1")
    before = house.admin.statistics.usage().total.stored
    content = b"the same sources" * 1000
    for rrev in ("r2", "r3"):
        house.put(f"{base}/revisions/{rrev}/files/conan_sources.tgz", content)
    assert house.admin.statistics.usage().total.stored == before + len(content)
    listed = house.recipe("known", "r1")
    file = f"{listed}/revisions/r1/files/conanfile.py"
    [digest] = [
        value for path, value in house.listing() if path == "known/1.0/_/_/r1/export/conanfile.py"
    ]
    fields = {
        "HTTP_X_CHECKSUM_DEPLOY": "true",
        "HTTP_X_CHECKSUM_SHA256": digest.removeprefix("sha256:"),
    }
    other = file.replace("known", "deployed")
    assert house.signed(other, "PUT", **fields).status == 201
    house.put(other.replace("conanfile.py", "conanmanifest.txt"), manifest("conanfile.py"))
    assert house.ask(other).body == b"recipe known r1"


def test_repositories_are_apart(house) -> None:
    """The same reference in two of them is two; a private one is read by nobody unasked."""
    base = house.recipe("apart", "r1")
    house.admin.repositories.create("conan/second", private=True)
    second = f"/conan/second{base}/latest"
    signed = {"HTTP_AUTHORIZATION": house.writer}
    assert call(house.app, second).status in {401, 404}
    assert call(house.app, second, **signed).status in {403, 404}
    assert house.signed(base, "DELETE").status == 200
    assert house.ask(f"{base}/latest").status == 404


def test_storage_need_not_be_a_disk(tmp_path) -> None:
    """Contents may lie in another place; requests are the same."""
    settings = Settings(data=tmp_path, storage=f"memory://{uuid.uuid4().hex}")
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(MAIN)
        granted = repocore.actions_of(["read", "write"])
        session.accounts.add_rule(repocore.Rule(subject="*", actions=granted, pattern=f"{MAIN}/**"))
        app = create_app(registry)
        file = f"/{MAIN}/v2/conans/afloat/1.0/_/_/revisions/r1/files/conanfile.py"
        assert call(app, file, "PUT", body=b"recipe").status == 200
        lines = manifest("conanfile.py")
        assert (
            call(app, file.replace("conanfile.py", "conanmanifest.txt"), "PUT", body=lines).status
            == 200
        )
        assert call(app, file).body == b"recipe"
    assert not (tmp_path / "blobs").exists()


@pytest.mark.parametrize("read_data", [False, True])
def test_what_is_stored_can_be_checked(house, read_data: bool) -> None:
    """Everything that was done here left catalog and contents in agreement."""
    house.recipe("checked", "r1")
    report = house.admin.upkeep.check(read_data=read_data)
    assert (report.ok, list(report.problems)) == (True, [])
