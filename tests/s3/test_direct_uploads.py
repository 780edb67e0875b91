"""The whole way of a direct upload: from the command line, by signed URLs, to a channel's index."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import attrs
import pytest
from channel_pool import package
from click.testing import CliRunner
from direct_uploads import send
from s3_faults import Fault, rapids
from s3_stores import PART

import repocore
from repocore.cli.group import root
from repocore.config import PluginSettings, Settings
from repocore.errors import ChecksumMismatchError, MissingError, TruncatedError
from repocore.model import Digest
from repocore.plugins.conda import direct_uploads
from repocore.plugins.conda.remote_channel import RemoteChannel
from repocore.plugins.conda.uploading import Outcome, Sent, upload_files
from repocore_web import create_app

CHANNEL = "conda/main"
MIB = 1 << 20


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@attrs.frozen
class House:
    """A registry on a corner of a bucket, served in this process, and what it was asked."""

    registry: repocore.Registry
    corner: Any
    url: str
    token: str
    asked: list[tuple[str, str, int]]

    @property
    def admin(self) -> repocore.Session:
        return self.registry.session(self.registry.admin())

    def names(self) -> list[str]:
        return [str(file.path) for file in self.admin.files.list(CHANNEL)]

    def sent(self, *files: Path, **more: Any) -> list[Outcome]:
        channel = RemoteChannel(self.url, self.token)
        return list(upload_files(channel, files, sleep=lambda _: None, **more))

    def bodies(self) -> int:
        """The largest body that went to the server itself."""
        return max((size for _, _, size in self.asked), default=0)


def package_of(folder: Path, size: int) -> Path:
    made = package("linux-64", "tide-1.0-0.conda", payload=os.urandom(size))
    path = folder / made.file
    path.write_bytes(made.content)
    return path


@pytest.fixture(scope="module")
def forty(tmp_path_factory) -> Path:
    """A package of 40 MiB."""
    return package_of(tmp_path_factory.mktemp("forty"), 40 * MIB)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A package of three parts."""
    return package_of(tmp_path_factory.mktemp("large"), 11 * MIB)


@pytest.fixture
def serve(tmp_path, store) -> Iterator[Any]:
    """Open a house with these settings of ``[plugins.s3]``."""
    ended = []

    def open_house(**table: Any) -> House:
        corner = store.place()
        words = {"direct_uploads": True, "direct_smallest": "8MiB", "part_size": "5MiB", **table}
        settings = Settings(
            data=tmp_path / "data",
            storage=corner.url,
            plugins=PluginSettings(tables={"s3": corner.table(**words)}),
        )
        registry = repocore.open_registry(settings=settings)
        admin = registry.session(registry.admin())
        admin.repositories.create(CHANNEL)
        admin.accounts.add("ann")
        admin.accounts.add_rule(
            repocore.Rule(
                subject="user:ann",
                actions=repocore.actions_of(["read", "write"]),
                pattern=f"{CHANNEL}/**",
            )
        )
        _, token = admin.accounts.create_token("ann", "tests")
        application, asked = create_app(registry), []

        def noting(environ: Any, start: Any) -> Any:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], length))
            return application(environ, start)

        server = make_server("127.0.0.1", 0, noting, _Server, _Quiet)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def end() -> None:
            server.shutdown()
            thread.join()
            server.server_close()
            registry.close()

        ended.append(end)
        url = f"http://127.0.0.1:{server.server_port}/{CHANNEL}"
        return House(registry, corner, url, token, asked)

    yield open_house
    for end in ended:
        end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_whole(house: House, large: Path) -> bool:
    """The channel has it, the store has it once, and nothing else of it is anywhere."""
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    path = f"linux-64/{large.name}"
    repodata = json.loads(house.admin.files.open(CHANNEL, "linux-64/repodata.json").read())
    return (
        house.admin.files.stat(CHANNEL, path).digest == digest
        and list(repodata["packages.conda"]) == [large.name]
        and [one for one in house.corner.names() if one.startswith("uploads/")] == []
        and list(house.corner.bucket.uploads("")) == []
        and house.admin.upkeep.check(read_data=True).ok
    )


# -------------------------------------------------------------------------------- by the command


def test_the_command_sends_large_files_to_the_store(serve, store, forty, monkeypatch):
    """In parts, some of which break; the server gets no body, and the store no token."""
    with rapids(store.settings.endpoint) as way:
        house = serve(public_endpoint=way.address)
        faults = [
            Fault("PUT", "partNumber=3&", times=2, status=503),
            Fault("PUT", "partNumber=5&", status=400, code="BadDigest"),
            Fault("PUT", "partNumber=7&", lose=True),
        ]
        way.faults.extend(faults)
        monkeypatch.setattr(direct_uploads, "_EVERY", 0)
        monkeypatch.setattr(direct_uploads, "_PAUSE", 0)
        monkeypatch.setenv("REPOCORE_TOKEN", house.token)
        words = ["conda", "upload", "--channel", house.url, str(forty), "--json"]
        done = CliRunner().invoke(root, words)
        assert done.exit_code == 0, done.output
        assert (json.loads(done.stdout)["uploaded"], json.loads(done.stdout)["failed"]) == (1, 0)
        assert f"{forty.name}: 40 of 40 MiB are sent" in done.stderr
        assert "Signature" not in done.output
        assert is_whole(house, forty)
        assert house.bodies() < 1000
        assert {one.method for one in way.exchanges} == {"PUT"}
        assert sum(one.size for one in way.exchanges if one.status == 200) >= forty.stat().st_size
        assert house.token not in str([one.headers for one in way.exchanges])
        assert "Authorization" not in str([one.headers for one in way.exchanges])
        again = CliRunner().invoke(root, words)
        assert (again.exit_code, json.loads(again.stdout)["known"]) == (0, 1)


def test_small_files_and_other_servers_go_the_plain_way(serve, large, tmp_path):
    """What the server does not want so is not asked for again."""
    house = serve(direct_smallest="64MiB")
    made = package("linux-64", "ebb-1.0-0.conda")
    small = tmp_path / made.file
    small.write_bytes(made.content)
    assert [one.sent for one in house.sent(small, large)] == [Sent.UPLOADED] * 2
    assert house.bodies() == large.stat().st_size
    assert [path for _, path, _ in house.asked if "uploads" in path] == ["/api/v1/uploads"]


def test_where_it_is_off_nothing_changes(serve, large):
    """As it is by default."""
    house = serve(direct_uploads=False)
    assert [one.sent for one in house.sent(large)] == [Sent.UPLOADED]
    assert house.bodies() == large.stat().st_size


def test_a_store_out_of_reach_is_gone_around(serve, large):
    """The file arrives by the server, which forgets what was begun."""
    house = serve(public_endpoint=f"http://127.0.0.1:{free_port()}")
    assert [one.sent for one in house.sent(large)] == [Sent.UPLOADED]
    assert house.bodies() == large.stat().st_size
    assert is_whole(house, large)


def test_a_store_that_refuses_is_gone_around(serve, store, large):
    """As one does whose clock or credentials are wrong, after some parts as well."""
    with rapids(store.settings.endpoint) as way:
        house = serve(public_endpoint=way.address)
        way.faults.append(Fault("PUT", "partNumber=2&", times=99, status=403, code="AccessDenied"))
        assert [one.sent for one in house.sent(large)] == [Sent.UPLOADED]
        assert house.bodies() == large.stat().st_size
        assert is_whole(house, large)


def test_a_damaged_part_ends_in_the_plain_way(serve, store, large):
    """Where the store does not look at MD5, the server finds it, and takes nothing of it."""
    with rapids(store.settings.endpoint) as way:
        house = serve(public_endpoint=way.address)
        way.faults.append(Fault("PUT", "partNumber=2&", spoil_request=True))
        assert [one.sent for one in house.sent(large)] == [Sent.UPLOADED]
        assert is_whole(house, large)


def test_a_command_that_was_cut_off_goes_on(serve, store, large, monkeypatch):
    """Parts that arrived are not sent again."""
    with rapids(store.settings.endpoint) as way:
        house = serve(public_endpoint=way.address)

        class CutError(Exception):
            """As by Ctrl-C."""

        def cut(*_: Any, **__: Any) -> None:
            raise CutError

        with monkeypatch.context() as patch:
            patch.setattr(RemoteChannel, "complete", cut)
            with pytest.raises(CutError):
                house.sent(large)
        parts = len(way.exchanges)
        assert parts == -(-large.stat().st_size // PART)
        assert [one.sent for one in house.sent(large)] == [Sent.UPLOADED]
        assert len(way.exchanges) == parts
        assert is_whole(house, large)


def test_what_the_server_refuses_is_told_as_ever(serve, large):
    """A quota, before anything is signed; it is the plain way that says so."""
    house = serve()
    house.admin.repositories.configure(CHANNEL, policy=repocore.Policy(quota=MIB))
    [found] = house.sent(large)
    assert found.sent is Sent.FAILED
    assert "larger quota" in found.reason
    assert house.corner.names() == []


# -------------------------------------------------------------------------------- by the library


def test_wrong_bytes_are_refused_and_go(serve, store, large):
    """Of the right size, in good parts: the server reads them, and nobody else ever does."""
    house = serve()
    content = bytes(large.stat().st_size)
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    upload = library_upload(house, content, digest)
    with pytest.raises(ChecksumMismatchError):
        house.admin.uploads.complete(CHANNEL, f"linux-64/{large.name}", upload)
    assert house.corner.names() == []
    assert house.names() == []


def library_upload(house: House, content: bytes, digest: str | None = None, **more: Any) -> str:
    """Send a body by the registry's own door; the id."""
    known = Digest("sha256", digest or hashlib.sha256(content).hexdigest())
    uploads = (more.get("session") or house.admin).uploads
    path = "linux-64/tide-1.0-0.conda"
    while True:
        upload = uploads.begin(CHANNEL, path, size=len(content), digest=known)
        if not upload.parts:
            return upload.id
        for part in upload.parts[: more.get("most")]:
            assert send(part, content[part.start : part.stop]) == 200
        if "most" in more:
            return upload.id


def test_too_few_bytes_and_what_was_swept(serve, large):
    """The first can go on; of the second nobody knows anything."""
    house = serve()
    content = large.read_bytes()
    path = f"linux-64/{large.name}"
    upload = library_upload(house, content, most=2)
    with pytest.raises(TruncatedError, match="have not arrived"):
        house.admin.uploads.complete(CHANNEL, path, upload)
    house.registry.storage.sweep(timedelta(seconds=-60))
    with pytest.raises(MissingError, match="anew"):
        house.admin.uploads.complete(CHANNEL, path, upload)
    assert library_upload(house, content) != upload
    assert house.names() == []


@pytest.mark.s3_real
def test_many_that_complete_at_once_make_one_file(real_store, serve, large):
    """And are all told the same, by any servers of a fleet; the mock mixes up who reads at once."""
    house = serve()
    content = large.read_bytes()
    path = f"linux-64/{large.name}"
    upload = library_upload(house, content)
    digest = Digest("sha256", hashlib.sha256(content).hexdigest())

    def complete(_: int) -> str:
        uploads = house.admin.uploads
        return uploads.complete(CHANNEL, path, upload, announced=[digest]).digest

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(complete, range(4))) == {digest.hex}
    assert len(house.names()) == 1
    assert is_whole(house, large)


@pytest.mark.parametrize("step", ["received", "staged", "stored"])
def test_a_server_that_dies_between_leaves_it_to_the_sweep(serve, large, step):
    """Or to whoever completes it again; nothing is visible before."""
    house = serve()
    path = f"linux-64/{large.name}"
    upload = library_upload(house, large.read_bytes())
    services = house.registry._services
    usual = services.step

    class Death(BaseException):
        """As of a process."""

    def die(name: str) -> None:
        if name == step:
            raise Death

    services.step = die
    with pytest.raises(Death):
        house.admin.uploads.complete(CHANNEL, path, upload)
    services.step = usual
    assert house.names() == []
    if step == "staged":
        house.admin.uploads.complete(CHANNEL, path, upload)
        assert is_whole(house, large)
        return
    house.registry.storage.sweep(timedelta(seconds=-60))
    house.admin.upkeep.collect(grace=timedelta(0))
    assert house.corner.names() == []


def test_memory_stays_flat(serve, large):
    """The server reads a body back in pieces, and the store copies it."""
    house = serve()
    upload = library_upload(house, large.read_bytes())
    tracemalloc.start()
    try:
        house.admin.uploads.complete(CHANNEL, f"linux-64/{large.name}", upload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    assert is_whole(house, large)
