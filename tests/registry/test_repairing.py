"""Repairs: lost and damaged bytes come back from whoever still has them, and from nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from stand_in import Asked, StandIn, stand_in
from wsgi_calls import call

import repocore
from repocore import ReadOnlyError, RejectedError
from repocore.config import Settings
from repocore.errors import UpstreamRefusedError
from repocore.registry import Replica, UpstreamClient
from repocore_web import create_app

RECIPE = "zlib/1.3/_/_/{}/export/conanfile.py"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def stored(house: Any, path: str) -> Path:
    file = house.admin.files.stat("conan/main", path)
    return house.settings.data / "blobs" / house.registry.storage.location(file.key)


def read(house: Any, path: str) -> bytes:
    with house.admin.files.open("conan/main", path) as stream:
        return stream.read()


@pytest.fixture
def hurt(house) -> Any:
    """Four recipes: the first is whole, the second lost, the third cut, the fourth changed."""
    for number in range(4):
        house.recipe(f"r{number}")
    files = [stored(house, RECIPE.format(f"r{number}")) for number in range(4)]
    for file in files:
        file.chmod(0o600)
    return house, files


def harm(files: list[Path]) -> None:
    files[1].unlink()
    files[2].write_bytes(b"rec")
    files[3].write_bytes(b"RECIPE r3")


def whole(house: Any) -> bool:
    return all(
        read(house, RECIPE.format(f"r{number}")) == f"recipe r{number}".encode()
        for number in range(4)
    )


def test_a_backup_brings_back_what_is_lost_cut_or_changed(hurt, tmp_path: Path) -> None:
    """What was changed is known after a check that reads; then all is as it was."""
    house, files = hurt
    house.admin.upkeep.backup(tmp_path / "kept")
    harm(files)
    assert len(house.admin.upkeep.check(read_data=True).problems) == 3
    report = house.admin.upkeep.repair(backups=[tmp_path / "kept"])
    assert (report.ok, len(report.repaired)) == (True, 3)
    assert all("from a backup" in one for one in report.repaired)
    assert whole(house)
    assert house.admin.upkeep.check(read_data=True).ok
    kinds = [one.kind for one in house.admin.audit.list()]
    assert (kinds.count("blob.damaged"), kinds.count("blob.repaired")) == (2, 3)
    assert house.admin.upkeep.repair(backups=[tmp_path / "kept"]).repaired == ()


def test_what_nobody_has_remains(hurt, tmp_path: Path) -> None:
    """With the files that need it; a wrong object of a backup is no object."""
    house, files = hurt
    house.admin.upkeep.backup(tmp_path / "kept")
    harm(files)
    house.admin.upkeep.check(read_data=True)
    digest = house.admin.files.stat("conan/main", RECIPE.format("r1")).digest
    (tmp_path / "kept" / "objects" / digest[:2] / digest).write_bytes(b"RECIPE r1")
    report = house.admin.upkeep.repair(backups=[tmp_path / "kept"])
    assert (report.ok, len(report.repaired)) == (False, 2)
    [remains] = report.remaining
    assert RECIPE.format("r1") in remains
    nothing = house.admin.upkeep.repair()
    assert nothing.remaining == report.remaining


def test_what_can_be_read_after_all_is_taken_back(hurt) -> None:
    """A fault may have been in the way to the disk, and is gone."""
    house, files = hurt
    content = files[3].read_bytes()
    files[3].write_bytes(b"RECIPE r3")
    assert house.admin.upkeep.check(read_data=True).quarantined == 1
    files[3].write_bytes(content)
    report = house.admin.upkeep.repair()
    assert (report.ok, report.repaired[0].endswith("from the storage itself")) == (True, True)
    assert whole(house)
    assert house.admin.upkeep.collect(grace=timedelta(0)).leftovers == 1
    assert whole(house)


def test_folders_without_backups_and_read_only_registries_are_refused(
    hurt, settings: Settings, tmp_path: Path
) -> None:
    """Before anything is looked at."""
    house, _ = hurt
    with pytest.raises(RejectedError, match="no backups"):
        house.admin.upkeep.repair(backups=[tmp_path])
    with repocore.open_registry(settings=attrs.evolve(settings, read_only=True)) as frozen:
        upkeep = frozen.session(frozen.admin()).upkeep
        with pytest.raises(ReadOnlyError):
            upkeep.repair()


# -------------------------------------------------------------------------------- other servers

Serve = Callable[[Callable[[Asked], Any]], StandIn]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(stand_in(answer))


def replica(url: str, **headers: str) -> Replica:
    client = UpstreamClient(allow=("127.0.0.1",), timeout=5)
    return Replica(url=url, client=client, headers=headers)


@pytest.fixture
def other(hurt, settings: Settings, tmp_path: Path) -> Iterator[Any]:
    """Another installation with the same packages, which a reader may read."""
    house, _ = hurt
    chosen = attrs.evolve(settings, data=tmp_path / "other", catalog="sqlite:///catalog.db")
    house.admin.upkeep.backup(tmp_path / "kept")
    with repocore.open_registry(settings=attrs.evolve(chosen, read_only=True)) as registry:
        registry.session(registry.admin()).upkeep.restore(tmp_path / "kept")
    with repocore.open_registry(settings=chosen) as registry:
        yield registry


def test_another_repocore_brings_them_back(hurt, other, serve: Serve) -> None:
    """With a token, where it wants one; without, it says so and nothing is repaired."""
    house, files = hurt
    admin = other.session(other.admin())
    admin.accounts.add("keeper")
    admin.accounts.add_rule(
        repocore.Rule(
            subject="user:keeper", actions=repocore.actions_of(["read"]), pattern="conan/main/**"
        )
    )
    _, secret = admin.accounts.create_token("keeper", "repairs")
    app = create_app(other)

    def answer(asked: Asked) -> Any:
        given = {"HTTP_AUTHORIZATION": asked.headers.get("authorization", "")}
        got = call(app, asked.target, **{name: value for name, value in given.items() if value})
        return got.status, {}, got.body

    server = serve(answer)
    harm(files)
    house.admin.upkeep.check(read_data=True)
    report = house.admin.upkeep.repair(replicas=[replica(server.url)])
    assert (report.repaired, len(report.remaining)) == ((), 3)
    assert "give a token" in report.notes[0]
    given = replica(server.url, Authorization=f"Bearer {secret}")
    report = house.admin.upkeep.repair(replicas=[given])
    assert (report.ok, len(report.repaired)) == (True, 3)
    assert secret not in repr(given)
    assert whole(house)
    assert house.admin.upkeep.check(read_data=True).ok


@pytest.mark.parametrize("below", ["conan/main", ""])
def test_any_server_with_an_export_brings_them_back(
    hurt, serve: Serve, tmp_path: Path, below: str
) -> None:
    """Wherever its root is: at the repository, or above all of them."""
    house, files = hurt
    house.admin.upkeep.export("conan/main", tmp_path / "web" / below)
    for copy in [path for path in (tmp_path / "web").rglob("*") if path.is_file()]:
        content = copy.read_bytes()  # a copy, and not another name of what is harmed now
        copy.unlink()
        copy.write_bytes(content)

    def answer(asked: Asked) -> Any:
        found = tmp_path / "web" / asked.path.lstrip("/")
        return (200, {}, found.read_bytes()) if found.is_file() else (404, {}, b"no")

    harm(files)
    house.admin.upkeep.check(read_data=True)
    report = house.admin.upkeep.repair(replicas=[replica(serve(answer).url)])
    assert (report.ok, len(report.repaired)) == (True, 3)
    assert whole(house)


@on_sqlite
@pytest.mark.parametrize(
    "told",
    [
        (200, {}, b"other byt"),
        (200, {}, b"recipe r1 and more"),
        (200, {"Content-Length": "9"}, b"recipe"),
        (200, {}, b""),
        (500, {}, b"recipe r1"),
        None,
    ],
)
def test_what_a_server_says_is_not_believed(hurt, serve: Serve, told: Any) -> None:
    """Other bytes, more, fewer, or none: nothing is stored, and the object remains lost."""
    house, files = hurt
    files[1].unlink()
    before = {*house.registry.storage.keys()}
    report = house.admin.upkeep.repair(replicas=[replica(serve(lambda _: told).url)])
    assert (report.ok, report.repaired) == (False, ())
    assert {*house.registry.storage.keys()} == before


@on_sqlite
def test_the_next_source_is_asked(hurt, serve: Serve, tmp_path: Path) -> None:
    """Whoever is silent is not waited for again and again."""
    house, files = hurt
    for number in range(4, 9):
        house.recipe(f"r{number}")
        files.append(stored(house, RECIPE.format(f"r{number}")))
    house.admin.upkeep.export("conan/main", tmp_path / "web")
    kept = {path.read_bytes() for path in (tmp_path / "web").rglob("conanfile.py")}
    for file in files:
        file.unlink()
    silent = serve(lambda _: None)

    def answer(asked: Asked) -> Any:
        revision = asked.path.split("/")[-3].encode()
        [content] = [one for one in kept if one == b"recipe " + revision]
        return 200, {}, content

    sources = [replica(silent.url), replica(serve(answer).url)]
    report = house.admin.upkeep.repair(replicas=sources)
    assert (report.ok, len(report.repaired)) == (True, 9)
    assert report.notes == (f"{silent.url} does not answer.",)
    assert len(silent.asked) == 3


@on_sqlite
def test_a_server_inside_is_asked_only_where_that_is_allowed(hurt, serve: Serve) -> None:
    """The application that repairs decides; the guard is that of every request."""
    house, files = hurt
    files[1].unlink()
    guarded = Replica(url=serve(lambda _: (200, {}, b"")).url, client=UpstreamClient())
    with pytest.raises(UpstreamRefusedError):
        house.admin.upkeep.repair(replicas=[guarded])
