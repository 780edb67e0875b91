"""Attestations lie beside their file, and do with it whatever is done with it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from channel_pool import Packaged, package
from own_sigstore import sigstore, statement

import repocore
from repocore import FilePath, Policy, Registry
from repocore.errors import (
    AccessDeniedError,
    ConflictError,
    FileMissingError,
    RejectedError,
    UploadRejectedError,
)
from repocore.plugins.conda.channel_tree import ChannelTree
from repocore.plugins.conda.importing import import_channel
from repocore.registry import Upload

MAIN, STABLE, CONAN = "conda/main", "conda/stable", "conan/main"
URL = "https://packages.example/conda/main"
TIDE = package("noarch", "tide-1.0-0.conda")


def bundle(one: Packaged = TIDE, target: str | None = URL) -> dict[str, Any]:
    return sigstore().bundle(statement(one.file, one.sha256, target))


def text(*bundles: Any) -> bytes:
    return json.dumps(bundles).encode()


@pytest.fixture
def session(house) -> repocore.Session:
    for address in (MAIN, STABLE):
        house.admin.repositories.create(address)
    return house.admin


def put(session, *bundles, one=TIDE, address=MAIN, **options) -> repocore.File:
    upload = Upload(path=FilePath.parse(one.path), stream=io.BytesIO(one.content), **options)
    return session.attestations.put(address, upload, lambda: [text(*bundles)], [URL])


def add(session, *bundles) -> repocore.File:
    return session.attestations.add(MAIN, TIDE.path, lambda: [text(*bundles)], [URL])


def record(session, address=MAIN, one=TIDE) -> dict[str, Any]:
    index = json.loads(session.files.open(address, f"{one.subdir}/repodata.json").read())
    return index["packages.conda"][one.file]


def paths(session, address=MAIN) -> list[str]:
    return [str(file.path) for file in session.files.list(address)]


def test_both_come_in_one_transaction(session, house) -> None:
    """Whoever looks after any step of an upload sees both, or neither."""
    seen = set()
    services = house.admin._context.services
    step = services.step

    def look(name: str) -> None:
        seen.add(len(paths(session)))
        step(name)

    object.__setattr__(services, "step", look)
    file = put(session, bundle())
    object.__setattr__(services, "step", step)
    assert str(file.path) == TIDE.path
    assert seen == {0, 2}
    assert session.attestations.get(MAIN, TIDE.path) != []


def test_each_change_has_its_record(session) -> None:
    """Who sent the package, and who said something of it."""
    before = {one.id for one in session.audit.export()}
    put(session, bundle())
    add(session, bundle())
    kinds = sorted(one.kind for one in session.audit.export() if one.id not in before)
    assert kinds == ["file.added", "file.added", "release.added"]


def test_a_veto_leaves_nothing(session) -> None:
    """Of the package neither."""
    with pytest.raises(UploadRejectedError):
        put(session, bundle(target="https://else.example"))
    assert paths(session) == []
    put(session)
    with pytest.raises(UploadRejectedError):
        add(session, bundle(target="x"))
    assert paths(session) == [TIDE.path]


def test_without_any_it_is_an_upload(session) -> None:
    """The same as of `Files.put`."""
    put(session)
    for path in (TIDE.path, "noarch/repodata.json"):
        assert session.attestations.get(MAIN, path) == []
    assert "attestations_sha256" not in record(session)


def test_adding_is_idempotent(session) -> None:
    """What is there already changes nothing, and no index is made anew for it."""
    one = bundle()
    put(session, one)
    serial = session.files.content(MAIN, "noarch/repodata.json").serial
    add(session, one, one)
    assert session.files.content(MAIN, "noarch/repodata.json").serial == serial
    add(session, bundle(), one)
    assert session.files.content(MAIN, "noarch/repodata.json").serial > serial
    assert len(session.attestations.get(MAIN, TIDE.path)) == 2


def test_two_who_add_at_once_both_have_added(session, house) -> None:
    """The second looks again, and adds to what the first has made of it."""
    put(session)
    first, second = bundle(), bundle()
    services = house.admin._context.services
    step = services.step

    def overtaken(name: str) -> None:
        if name == "stored":
            object.__setattr__(services, "step", step)
            add(session, first)

    object.__setattr__(services, "step", overtaken)
    add(session, second)
    assert session.attestations.get(MAIN, TIDE.path) == [first, second]
    assert len(paths(session)) == 2


def test_who_is_overtaken_by_a_deletion_has_added_nothing(session, house) -> None:
    """The attestations of a package that is gone are gone."""
    put(session)
    services = house.admin._context.services
    step = services.step

    def overtaken(name: str) -> None:
        if name == "stored":
            object.__setattr__(services, "step", step)
            session.releases.delete(MAIN, "noarch", TIDE.file)

    object.__setattr__(services, "step", overtaken)
    with pytest.raises(FileMissingError):
        add(session, bundle())
    assert paths(session) == []


@pytest.mark.parametrize("promote", [False, True])
def test_they_are_copied(session, promote) -> None:
    """With the package, as they are, and as the record of the copy names them."""
    one = bundle()
    put(session, one)
    made = session.releases.copy(MAIN, [("noarch", TIDE.file)], STABLE, promote=promote)
    assert len(made) == 2
    assert paths(session, STABLE) == paths(session)
    assert record(session, STABLE)["attestations_sha256"] == record(session)["attestations_sha256"]
    assert session.attestations.get(STABLE, TIDE.path) == [one]


def test_a_copy_adds_them_where_there_are_none(session) -> None:
    """To the same package; every index of the target has them then."""
    put(session, bundle())
    put(session, address=STABLE)
    assert "attestations_sha256" not in record(session, STABLE)
    session.releases.copy(MAIN, [("noarch", TIDE.file)], STABLE)
    assert "attestations_sha256" in record(session, STABLE)
    assert paths(session, STABLE) == paths(session)


def test_a_copy_leaves_others_as_they_are(session) -> None:
    """What is in the target already stays; so does a copy without any."""
    own = bundle(target=None)
    put(session, bundle())
    put(session, own, address=STABLE)
    before = record(session, STABLE)
    for source in (MAIN, CONAN.replace("conan", "conda").replace("main", "bare")):
        if source != MAIN:
            session.repositories.create(source)
            put(session, address=source)
        session.releases.copy(source, [("noarch", TIDE.file)], STABLE)
        assert record(session, STABLE) == before
        assert session.attestations.get(STABLE, TIDE.path) == [own]


def test_they_are_exported(session, tmp_path) -> None:
    """Where clients of the tree look for them."""
    one = bundle()
    put(session, one)
    session.upkeep.export(MAIN, tmp_path / "out")
    digest = record(session)["attestations_sha256"]
    exported = tmp_path / "out" / f"{TIDE.path}.sigs.{digest}"
    assert json.loads(exported.read_bytes()) == [one]


def test_a_yanked_package_keeps_them(session) -> None:
    """They are served as the package is, and are back in the index with it."""
    put(session, bundle())
    session.releases.yank(MAIN, "noarch", TIDE.file)
    add(session, bundle())
    assert len(session.attestations.get(MAIN, TIDE.path)) == 2
    session.releases.yank(MAIN, "noarch", TIDE.file, yanked=False)
    assert "attestations_sha256" in record(session)


def test_a_package_that_comes_again_after_its_deletion_has_none(session) -> None:
    """They went with it."""
    put(session, bundle())
    session.releases.delete(MAIN, "noarch", TIDE.file)
    put(session)
    assert session.attestations.get(MAIN, TIDE.path) == []
    assert paths(session) == [TIDE.path]


def test_patches_leave_them_alone(session) -> None:
    """A record that is patched names the same attestations, in every index."""
    put(session, bundle())
    patches = {"packages.conda": {TIDE.file: {"license": "MIT"}}, "patch_instructions_version": 1}
    where = "noarch/patch_instructions.json"
    session.files.put(MAIN, where, io.BytesIO(json.dumps(patches).encode()))
    found = record(session)
    assert found["license"] == "MIT"
    assert "attestations_sha256" in found


def test_the_check_finds_nothing_wrong(session) -> None:
    """And the collector leaves them where they are."""
    put(session, bundle())
    assert session.upkeep.check(read_data=True).ok
    assert len(session.attestations.get(MAIN, TIDE.path)) == 1


def test_an_import_takes_packages_alone(session, tmp_path) -> None:
    """Of an exported channel; and an import over an attested package takes nothing from it."""
    put(session, bundle())
    before = record(session)
    session.upkeep.export(MAIN, tmp_path / "out")
    for address in (STABLE, MAIN):
        tree = ChannelTree(tmp_path / "out")
        assert import_channel(session, tree, address, reindex=True).skipped == 0
    assert paths(session, STABLE) == [TIDE.path]
    assert "attestations_sha256" not in record(session, STABLE)
    assert record(session) == before


def test_they_count_against_the_quota(session) -> None:
    """Bytes are bytes: what does not fit comes neither with its package nor later."""
    size = len(TIDE.content)
    session.repositories.configure(MAIN, policy=Policy(quota=size + 100))
    with pytest.raises(RejectedError):
        put(session, bundle())
    assert paths(session) == []


def test_adding_needs_write_and_looking_read(session, house) -> None:
    """Of the package."""
    put(session, bundle())
    reader, nobody = house.as_("reader"), house.as_("nobody")
    house.allow("user:reader", "read", f"{MAIN}/**")
    assert len(reader.attestations.get(MAIN, TIDE.path)) == 1
    with pytest.raises(AccessDeniedError):
        reader.attestations.add(MAIN, TIDE.path, list, [URL])
    with pytest.raises(AccessDeniedError):
        nobody.attestations.get(MAIN, TIDE.path)


def test_a_format_that_keeps_none_says_so(session, house) -> None:
    """Whatever is sent with a file of it is not dropped in silence."""
    upload = Upload(
        path=FilePath.parse("zlib/1.3/_/_/r1/export/conanfile.py"), stream=io.BytesIO(b"recipe")
    )
    with pytest.raises(RejectedError, match="keeps no attestations"):
        house.admin.attestations.put(CONAN, upload, lambda: [text({})], [URL])
    assert house.listing() == []


def test_someone_who_always_comes_first_is_told(session, monkeypatch) -> None:
    """As a conflict, after some tries."""
    put(session)
    room = session.attestations
    tries: list[int] = []

    def late(*_: object) -> None:
        tries.append(1)
        raise ConflictError("It was changed meanwhile.")

    monkeypatch.setattr(type(room), "_add", late)
    with pytest.raises(ConflictError):
        add(session, bundle())
    assert len(tries) == 5


def test_reopened_it_is_all_there(session, house) -> None:
    """Another process reads the same."""
    put(session, bundle())
    with repocore.open_registry(settings=house.settings) as other:
        assert isinstance(other, Registry)
        again = other.session(other.admin())
        assert again.attestations.get(MAIN, TIDE.path) == session.attestations.get(MAIN, TIDE.path)
