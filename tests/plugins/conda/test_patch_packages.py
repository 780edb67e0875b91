"""Patches that come as a package are those of the channel, and a rehearsal changes nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from static_channel import StaticChannel, package
from wsgi_calls import call

import repocore
from repocore.config import Settings
from repocore.errors import AccessDeniedError, InvalidPackageError, RejectedError
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.patch_packages import (
    apply_patch_package,
    patch_changes,
    read_patch_package,
    read_patches,
)
from repocore.plugins.conda.settings import CondaSettings
from repocore.plugins.conda.uploading import store_files
from repocore_web import create_app

CHANNEL = "conda/main"
ZLIB = "zlib-1.3-h0_0.conda"


def instructions(licence: str) -> bytes:
    return json.dumps(
        {"patch_instructions_version": 1, "packages.conda": {ZLIB: {"license": licence}}}
    ).encode()


def patches(version: str, *, kind: str = "conda", **said: bytes) -> tuple[str, bytes]:
    """A patch package of the channel ``main``; keywords are subdirs with ``_`` for ``-``."""
    name = f"main-repodata-patches-{version}-0.{kind}"
    files = {f"{k.replace('_', '-')}/patch_instructions.json": v for k, v in said.items()}
    return name, package(name, payload=files)[0]


@attrs.frozen
class House:
    """A channel with one package in it."""

    registry: repocore.Registry
    session: repocore.Session

    def put(self, name: str, content: bytes, session: repocore.Session | None = None) -> None:
        """Upload as a route does it."""
        used = session or self.session
        file = used.files.put(CHANNEL, name, io.BytesIO(content), named=True)
        apply_patch_package(used, CHANNEL, file)

    def licence(self, subdir: str = "linux-64") -> str:
        with self.session.files.open(CHANNEL, f"{subdir}/repodata.json") as stream:
            return json.load(stream)["packages.conda"][ZLIB]["license"]

    def as_writer(self, pattern: str) -> repocore.Session:
        for actions, where in (("read", CHANNEL), ("write", pattern)):
            granted = repocore.actions_of([actions])
            rule = repocore.Rule(subject="user:ann", actions=granted, pattern=where)
            self.session.accounts.add_rule(rule)
        who = repocore.Principal(name="ann", groups=frozenset(), scope=None, via="test")
        return self.registry.session(who)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with repocore.open_registry(settings=Settings(data=tmp_path / "data")) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(CHANNEL)
        made = House(registry, session)
        made.put(ZLIB, package(ZLIB, "linux-64")[0])
        yield made


@pytest.mark.parametrize("kind", ["conda", "tar.bz2"])
def test_the_newest_patch_package_is_applied(house, kind) -> None:
    """An older one that comes later changes nothing; neither does that of another channel."""
    house.put(*patches("2", kind=kind, linux_64=instructions("newest")))
    assert house.licence() == "newest"
    house.put(*patches("1", kind=kind, linux_64=instructions("older")))
    assert house.licence() == "newest"
    name, content = patches("3", kind=kind, linux_64=instructions("other"))
    other = name.replace("main", "forge")
    content, _ = package(other, payload={"linux-64/patch_instructions.json": instructions("x")})
    house.put(other, content)
    assert house.licence() == "newest"


def test_subdirs_that_a_package_does_not_name_keep_their_patches(house) -> None:
    """And what else is in it is none of our business."""
    house.put(*patches("1", linux_64=instructions("first"), noarch=instructions("first")))
    house.put(*patches("2", noarch=instructions("second")))
    assert house.licence() == "first"
    with house.session.files.open(CHANNEL, "noarch/patch_instructions.json") as stream:
        assert stream.read() == instructions("second")


def test_a_package_with_bad_patches_is_refused_whole(house) -> None:
    """Before it is published; the sentence says why."""
    with pytest.raises(InvalidPackageError, match="not JSON"):
        house.put(*patches("1", linux_64=b"{"))
    bad = b'{"packages.conda":{"a-1-0.conda":{"name":"b"}}}'
    with pytest.raises(InvalidPackageError, match="changes 'name'"):
        house.put(*patches("1", linux_64=bad))
    assert [str(file.path) for file in house.session.files.list(CHANNEL)] == [f"linux-64/{ZLIB}"]


def test_patches_that_are_too_large_are_refused() -> None:
    """Whatever the package unpacks to."""
    name, content = patches("1", linux_64=instructions("x" * 1000))
    with pytest.raises(InvalidPackageError, match="up to 1000 bytes"):
        read_patch_package(
            io.BytesIO(content),
            len(content),
            PackageFile.parse(name),
            CondaSettings(max_patches=1000),
        )


def test_who_may_not_patch_may_not_send_patches(house) -> None:
    """The permission to write one package is none to patch all."""
    writer = house.as_writer("conda/main/main-repodata-patches/**")
    with pytest.raises(AccessDeniedError):
        house.put(*patches("1", linux_64=instructions("mine")), session=writer)
    assert house.licence() == "MIT"
    house.put(
        *patches("1", linux_64=instructions("mine")), session=house.as_writer("conda/main/**")
    )
    assert house.licence() == "mine"


def test_a_rehearsal_changes_nothing(house) -> None:
    """It says what would change, field by field, to whom may do it."""
    body = io.BytesIO(instructions("new"))
    [change] = patch_changes(house.session, CHANNEL, "linux-64", body)
    assert change == (ZLIB, "license", "MIT", "new")
    assert house.licence() == "MIT"
    reader = house.as_writer("conda/main/zlib/**")
    unread = io.BytesIO(instructions("new"))
    with pytest.raises(AccessDeniedError):
        patch_changes(reader, CHANNEL, "linux-64", unread)
    assert unread.tell() == 0
    with pytest.raises(RejectedError):
        patch_changes(house.session, CHANNEL, "no subdir", body)


def test_over_http(house) -> None:
    """Every upload applies patches, and a switch in the query rehearses them."""
    token = house.session.accounts.create_token
    house.session.accounts.add("ann", "high-water-mark")
    house.as_writer("conda/main/**")
    signed = {"HTTP_AUTHORIZATION": f"Bearer {token('ann', 'tests')[1]}"}
    app = create_app(house.registry)

    def send(target: str, method: str, body: bytes) -> Any:
        return call(app, target, method, body=body, **signed)

    path = f"/{CHANNEL}/linux-64/patch_instructions.json"
    answer = send(f"{path}?dry_run=true", "PUT", instructions("new"))
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"changes": [{"name": ZLIB, "field": "license", "before": "MIT", "after": "new"}]},
    )
    assert house.licence() == "MIT"
    assert send(f"{path}?dry_run=true", "PUT", b"{").status == 422
    assert send(path, "PUT", instructions("new")).status == 201
    assert house.licence() == "new"
    name, content = patches("1", linux_64=instructions("packed"))
    assert send(f"/{CHANNEL}/noarch/{name}", "PUT", content).status == 201
    assert house.licence() == "packed"
    name, content = patches("2", linux_64=instructions("posted"))
    target = f"/api/channels/main/upload/{name}?sha256=&force=False"
    assert send(target, "POST", content).status == 201
    assert house.licence() == "posted"


def test_files_on_this_machine(house, tmp_path) -> None:
    """A file of instructions, a folder of a channel, or a package."""
    tree = StaticChannel(tmp_path / "tree")
    file = tree.write("linux-64", "patch_instructions.json", instructions("x"))
    tree.write("icons", "patch_instructions.json", b"no subdir")
    settings = CondaSettings()
    expected = {"linux-64": instructions("x")}
    assert read_patches(tree.folder, settings, None) == expected
    assert read_patches(file, settings, None) == expected
    assert read_patches(file, settings, "noarch") == {"noarch": instructions("x")}
    name, content = patches("1", linux_64=instructions("x"))
    (tmp_path / name).write_bytes(content)
    assert read_patches(tmp_path / name, settings, None) == expected
    [stored] = store_files(house.session, CHANNEL, [tmp_path / name])
    assert stored.reason == ""
    assert house.licence() == "x"
    (tmp_path / "empty").mkdir()
    with pytest.raises(RejectedError, match="There is no"):
        read_patches(tmp_path / "empty", settings, None)
    lone = tmp_path / "patches.json"
    lone.write_bytes(instructions("x"))
    with pytest.raises(RejectedError):
        read_patches(lone, settings, None)
    with pytest.raises(InvalidPackageError):
        read_patches(file, CondaSettings(max_patches=10), None)
