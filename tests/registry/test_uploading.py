"""Many bodies at once: in few transactions, and each answers for itself."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from tests_manifest import manifest

from repocore import (
    AccessDeniedError,
    ChecksumMismatchError,
    Digest,
    File,
    FileFacts,
    FilePath,
    Policy,
    QuotaExceededError,
    RejectedError,
)
from repocore.registry import Upload

MAIN = "conan/main"


def upload(path: str, content: bytes, **more) -> Upload:
    return Upload(path=FilePath.parse(path), stream=io.BytesIO(content), **more)


def recipes(count: int) -> list[Upload]:
    made: list[Upload] = []
    for number in range(count):
        base = f"pkg{number}/1.0/_/_/r1/export"
        made += [
            upload(f"{base}/conanfile.py", b"recipe %d" % number),
            upload(f"{base}/conanmanifest.txt", manifest("conanfile.py")),
        ]
    return made


def test_all_of_them_arrive(house) -> None:
    """In batches, with the last one smaller; releases are whole afterwards."""
    results = list(house.admin.files.put_all(MAIN, recipes(7), batch=4))
    assert len(results) == 14
    assert all(isinstance(found, File) for _, found in results)
    assert len(list(house.admin.releases.packages(MAIN))) == 7


def test_a_batch_is_one_transaction(house) -> None:
    """Two to write for many files: their blobs are reserved, then all is committed."""
    steps: list[str] = []
    house.registry.step = steps.append
    list(house.admin.files.put_all(MAIN, recipes(5), batch=100))
    assert steps.count("reserved") == 1
    assert steps.count("committed") == 1


def test_what_cannot_be_put_keeps_no_other_from_it(house) -> None:
    """A bad body is told with its upload, whether it is found while it is read or at the commit."""
    wrong = Digest("sha256", "0" * 64)
    house.put("pkg9/1.0/_/_/r1/export/conanfile.py", b"published")
    house.put("pkg9/1.0/_/_/r1/export/conanmanifest.txt", manifest("conanfile.py"))
    house.admin.repositories.configure(MAIN, policy=Policy(overwrite=False))
    some = [
        *recipes(2),
        upload("pkg8/1.0/_/_/r1/export/conanfile.py", b"x", announced=(wrong,)),
        upload("pkg9/1.0/_/_/r1/export/conanfile.py", b"other bytes"),
    ]
    results = {str(one.path): found for one, found in house.admin.files.put_all(MAIN, some)}
    failed = {path.split("/")[0] for path, found in results.items() if not isinstance(found, File)}
    assert failed == {"pkg8", "pkg9"}
    assert isinstance(results["pkg8/1.0/_/_/r1/export/conanfile.py"], ChecksumMismatchError)


def test_a_quota_stops_at_the_file_that_does_not_fit(house) -> None:
    """Those before it are stored."""
    house.admin.repositories.configure(MAIN, policy=Policy(quota=25))
    some = [upload(f"pkg{n}/1.0/_/_/r1/export/conanfile.py", b"x" * 10) for n in range(4)]
    results = [found for _, found in house.admin.files.put_all(MAIN, some)]
    assert [isinstance(found, File) for found in results] == [True, True, False, False]
    assert isinstance(results[2], QuotaExceededError)


def test_who_may_not_write_may_not_write_many(house) -> None:
    """Permission is asked before a body is read."""
    body = io.BytesIO(b"x")
    some = [Upload(path=FilePath.parse("pkg/1.0/_/_/r1/export/conanfile.py"), stream=body)]
    house.allow("user:ann", "read", "conan/main/**")
    with pytest.raises(AccessDeniedError):
        list(house.as_("ann").files.put_all(MAIN, some))
    assert body.tell() == 0


def test_facts_from_elsewhere_need_manage(house) -> None:
    """A writer's content is looked into; only who manages a repository may say what it is."""
    house.allow("user:ann", "read,write", "conan/main/**")
    base = "pkg/1.0/_/_/r1/export"
    known = FileFacts(
        partition="pkg/1.0@_/_", release="r1", package="pkg", version="1.0@_/_", record=b'{"a":1}'
    )
    with pytest.raises(AccessDeniedError):
        house.as_("ann").files.put(MAIN, f"{base}/conanfile.py", io.BytesIO(b"x"), facts=known)
    file = house.admin.files.put(MAIN, f"{base}/conanfile.py", io.BytesIO(b"x"), facts=known)
    assert file.release == "r1"


def test_facts_of_another_package_are_refused(house) -> None:
    """They must be of what the path names."""
    known = FileFacts(partition="p", release="r1", package="other", version="1.0")
    path = "pkg/1.0/_/_/r1/export/conanfile.py"
    with pytest.raises(RejectedError):
        house.admin.files.put(MAIN, path, io.BytesIO(b"x"), facts=known)


def test_times_of_an_importer_are_kept(house) -> None:
    """One upload of many may bring its own."""
    moment = datetime(2020, 5, 1, tzinfo=UTC)
    some = [Upload(path=one.path, stream=one.stream, released_at=moment) for one in recipes(1)]
    list(house.admin.files.put_all(MAIN, some))
    assert house.admin.releases.latest(MAIN, "pkg0/1.0@_/_").released_at == moment
