"""Uploads of package files: to a server, over what networks do, and into a data folder."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import attrs
import pytest
from scripted_server import scripted_server
from static_channel import StaticChannel, package

import repocore
from repocore.config import Settings
from repocore.errors import RejectedError
from repocore.plugins.conda import origins
from repocore.plugins.conda.remote_channel import RemoteChannel
from repocore.plugins.conda.uploading import Outcome, Sent, store_files, upload_files
from repocore_web import create_app

CHANNEL = "conda/main"
ZLIB = "zlib-1.3-h0_0.conda"
NOTHING = (404, {})


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    tree = StaticChannel(tmp_path / "made")
    return [
        tree.add(ZLIB, "linux-64"),
        tree.add("old-1!1.0+b-0.tar.bz2"),
        tree.add("tide-2.0-0.conda"),
    ]


@attrs.frozen
class House:
    """A registry that is served in this process."""

    session: repocore.Session
    url: str
    token: str

    def names(self) -> list[str]:
        return [str(file.path) for file in self.session.files.list(CHANNEL)]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with repocore.open_registry(settings=Settings(data=tmp_path / "data")) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(CHANNEL)
        session.accounts.add("ann", "high-water-mark")
        session.accounts.add_rule(
            repocore.Rule(
                subject="user:ann",
                actions=repocore.actions_of(["read", "write"]),
                pattern="conda/main/**",
            )
        )
        _, token = session.accounts.create_token("ann", "tests")
        server: WSGIServer = make_server("127.0.0.1", 0, create_app(registry), handler_class=Quiet)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield House(session, f"http://127.0.0.1:{server.server_port}/{CHANNEL}", token)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def sent(url: str, files: list[Path], token: str | None = None, **more: Any) -> list[Outcome]:
    channel = RemoteChannel(url, token)
    return list(upload_files(channel, files, sleep=lambda _: None, **more))


def reasons(found: list[Outcome]) -> list[str]:
    return [one.reason for one in found]


# ---------------------------------------------------------------------------------- to our server


def test_files_arrive_in_the_subdir_that_they_name(house, files) -> None:
    """Of both kinds, in the order in which they were named; odd characters are no matter."""
    found = sent(house.url, files, house.token)
    assert found == [Outcome(f.name, Sent.UPLOADED, f.stat().st_size) for f in files]
    assert house.names() == sorted([f"linux-64/{ZLIB}", *(f"noarch/{f.name}" for f in files[1:])])
    assert house.session.upkeep.check(read_data=True).ok


def test_what_is_there_is_not_sent_again(house, files, monkeypatch) -> None:
    """Its digest is asked for first, so an upload that was cut off goes on."""
    sent(house.url, files[:2], house.token)
    put: list[str] = []
    real = RemoteChannel.put

    def counting(self: RemoteChannel, path: str, *rest: Any, **more: Any) -> Any:
        put.append(path)
        return real(self, path, *rest, **more)

    monkeypatch.setattr(RemoteChannel, "put", counting)
    found = sent(house.url, files, house.token)
    assert [one.sent for one in found] == [Sent.KNOWN, Sent.KNOWN, Sent.UPLOADED]
    assert put == ["noarch/tide-2.0-0.conda"]


def test_other_bytes_are_not_replaced(house, files) -> None:
    """Not without force; with it, where the channel lets whoever uploads."""
    sent(house.url, files, house.token)
    files[0].write_bytes(package(ZLIB, "linux-64", license="other")[0])
    before = house.session.files.stat(CHANNEL, f"linux-64/{ZLIB}").digest
    [found] = sent(house.url, files[:1], house.token)
    assert "published with other bytes" in found.reason
    [found] = sent(house.url, files[:1], house.token, force=True)
    assert "published with other content" in found.reason
    assert house.session.files.stat(CHANNEL, f"linux-64/{ZLIB}").digest == before
    house.session.repositories.configure(CHANNEL, policy=repocore.Policy(overwrite=True))
    house.session.accounts.add_rule(
        repocore.Rule(
            subject="user:ann",
            actions=repocore.actions_of(["overwrite"]),
            pattern="conda/main/**",
        )
    )
    [found] = sent(house.url, files[:1], house.token, force=True)
    assert found.sent is Sent.UPLOADED
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert house.session.files.stat(CHANNEL, f"linux-64/{ZLIB}").digest == digest


def test_who_may_not_is_told_what_to_do(house, files) -> None:
    """Without a token, with a wrong one, for another channel, with one that only reads."""
    [found] = sent(house.url, files[:1])
    assert "put one into" in found.reason
    [found] = sent(house.url, files[:1], "no-token-of-anybody")
    assert "put one into REPOCORE_TOKEN" in found.reason
    [found] = sent(house.url.replace("main", "other"), files[:1], house.token)
    assert "There is no such channel" in found.reason
    house.session.accounts.add("bob", "high-water-mark")
    house.session.accounts.add_rule(
        repocore.Rule(
            subject="user:bob", actions=repocore.actions_of(["read"]), pattern="conda/main/**"
        )
    )
    _, token = house.session.accounts.create_token("bob", "tests")
    [found] = sent(house.url, files[:1], token)
    assert "ask for the permission to write" in found.reason
    assert house.names() == []


def test_a_name_and_a_password_in_the_url_do_as_well(house, files) -> None:
    """They are sent as HTTP has it, and stand in no message."""
    url = house.url.replace("http://", "http://ann:high-water-mark@")
    assert sent(url, files[:1])[0].sent is Sent.UPLOADED
    [found] = sent(url.replace("mark", "mork"), files[1:2])
    assert found.sent is Sent.FAILED
    assert "mork" not in found.reason


def test_a_bad_file_keeps_no_other_from_being_sent(house, files, tmp_path) -> None:
    """What is no package, is not there, or is one that the server refuses."""
    bad = tmp_path / "bad-1.0-0.conda"
    bad.write_bytes(b"no package")
    named = tmp_path / "named.conda"
    named.write_bytes(b"")
    stranger = tmp_path / "stranger-1.0-0.conda"
    content, _ = package("stranger-1.0-0.conda", name="somebody")
    stranger.write_bytes(content)
    found = sent(
        house.url, [bad, named, tmp_path / "gone-1-0.conda", stranger, *files], house.token
    )
    assert [one.sent for one in found] == [Sent.FAILED] * 4 + [Sent.UPLOADED] * 3
    assert "No such file" in found[2].reason
    assert "somebody" in found[3].reason
    assert str(tmp_path) not in "".join(reasons(found))


# ------------------------------------------------------------------------------- over bad networks


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(files, status) -> None:
    """Whether it happens while the file is asked for or sent; the body is sent from its start."""
    for method in ("HEAD", "PUT"):
        script = {"HEAD": [NOTHING], "PUT": [(201, {})]}
        script[method].insert(0, (status, {}))
        with scripted_server(script) as server:
            [found] = sent(server.url, files[:1])
            assert found.sent is Sent.UPLOADED
            bodies = {one.body for one in server.asked if one.method == "PUT"}
            assert bodies == {files[0].read_bytes()}


def test_what_was_stored_before_the_line_broke_is_not_sent_twice(files) -> None:
    """The digest is asked for before each try."""
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    there = (200, {"ETag": f'"{digest}"'})
    with scripted_server({"HEAD": [NOTHING, there], "PUT": [(0, {})]}) as server:
        [found] = sent(server.url, files[:1])
    assert found.sent is Sent.KNOWN
    assert server.methods() == ["HEAD", "PUT", "HEAD"]


def test_tries_have_an_end_and_pauses_that_grow(files) -> None:
    """A server may ask for a longer one."""
    pauses: list[float] = []
    script = {"HEAD": [NOTHING], "PUT": [(503, {"Retry-After": "7"}), (503, {})]}
    with scripted_server(script) as server:
        [found] = upload_files(RemoteChannel(server.url), files[:1], sleep=pauses.append)
    assert found.sent is Sent.FAILED
    assert found.reason == "Tried 5 times: Said the server."
    assert pauses[0] == 7
    assert pauses[1] < pauses[3]
    assert len(pauses) == 4


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "REPOCORE_TOKEN"),
        (403, "permission"),
        (404, "--channel"),
        (409, "--force"),
        (413, "larger"),
        (507, "administrator"),
        (301, "sends uploads elsewhere"),
        (418, "Said the server."),
    ],
)
def test_refusals_are_final_and_say_what_to_do_next(files, status, words) -> None:
    """One request, the server's first line, and advice."""
    with scripted_server({"HEAD": [NOTHING], "PUT": [(status, {})]}) as server:
        [found] = sent(server.url, files[:1])
    assert server.methods() == ["HEAD", "PUT"]
    assert words in found.reason
    assert "And more" not in found.reason


def test_a_redirect_is_not_followed(files) -> None:
    """A token goes to no other host."""
    with scripted_server({"HEAD": [NOTHING], "PUT": [(201, {})]}) as other:
        elsewhere = (307, {"Location": other.url})
        with scripted_server({"HEAD": [elsewhere], "PUT": [elsewhere]}) as server:
            [found] = sent(server.url, files[:1], "secret-token")
        assert found.sent is Sent.FAILED
        assert other.asked == []


def test_nobody_there(files) -> None:
    """Refused connections are tried again, too, and the sentence says so."""
    with scripted_server({}) as server:
        url = server.url
    [found] = sent(url, files[:1])
    assert found.reason.startswith("Tried 5 times: the server cannot be reached, ")


def test_requests_say_what_comes(files) -> None:
    """Length, digest, token and the switch to replace."""
    with scripted_server({"HEAD": [NOTHING], "PUT": [(201, {})]}) as server:
        sent(server.url, files[:1], "secret-token", force=True)
    put = server.asked[1]
    assert put.path == f"/conda/main/linux-64/{ZLIB}?force=true"
    assert put.fields["Authorization"] == "Bearer secret-token"
    assert put.fields["Content-Length"] == str(files[0].stat().st_size)
    assert put.fields["X-Checksum-Sha256"] == hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert put.fields["User-Agent"].startswith("repocore/")


def test_a_proxy_of_the_environment_is_asked(files, monkeypatch) -> None:
    """For the whole URL; hosts that it is not for are asked themselves."""
    with scripted_server({"HEAD": [NOTHING], "PUT": [(201, {})]}) as server:
        monkeypatch.setattr(
            origins, "getproxies", lambda: {"http": f"http://127.0.0.1:{server.port}"}
        )
        monkeypatch.setattr(origins, "proxy_bypass", lambda host: host == "near.example")
        [found] = sent("http://far.example/conda/main", files[:1])
        assert found.sent is Sent.UPLOADED
        assert server.asked[0].path == f"http://far.example:80/conda/main/linux-64/{ZLIB}"


@pytest.mark.parametrize(
    "url", ["main", "ftp://a.example/x", "http:///x", "http://a.example:x/", "https://a.example/?q"]
)
def test_what_is_no_url_of_a_channel_is_refused(url) -> None:
    """Before anything is sent."""
    with pytest.raises(RejectedError, match="URL"):
        RemoteChannel(url)


# ------------------------------------------------------------------------------ into a data folder


def test_files_are_stored_without_a_server(house, files, tmp_path) -> None:
    """Many in a transaction, and a bad one keeps no other from being stored."""
    bad = tmp_path / "bad-1.0-0.conda"
    bad.write_bytes(b"no package")
    named = tmp_path / "named.conda"
    found = list(store_files(house.session, CHANNEL, [named, *files, bad]))
    assert {one.name: one.sent for one in found} == {
        **{file.name: Sent.UPLOADED for file in files},
        bad.name: Sent.FAILED,
        named.name: Sent.FAILED,
    }
    assert len(house.names()) == 3
    assert files[0].stat().st_nlink == 1


def test_stored_files_replace_nothing_without_force(house, files) -> None:
    """As with a server."""
    list(store_files(house.session, CHANNEL, files))
    files[0].write_bytes(package(ZLIB, "linux-64", license="other")[0])
    [found] = store_files(house.session, CHANNEL, files[:1])
    assert "published with other content" in found.reason
