"""What holds whichever server stands in front, as one class of tests."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import pytest
from certificates import Certificates
from front_servers import SIGNED_IN, Front, MakeClient, access_log
from front_uploads import CONANS, MIB, REVISION, complete, publish, stream
from smuggling import MUST_BE_REFUSED, arrived, cases, send

GIB = 1 << 30


class FrontContract:
    """Subclasses have `fronted`, which starts a server with data of ours in a folder."""

    fronted: ClassVar[Callable[[Path, Certificates], AbstractContextManager[Front]]]

    def test_client_publishes_and_installs(self, front: Front, make_client: MakeClient) -> None:
        """A client publishes a package whose description is empty; another one installs it."""
        writer = make_client(front, signed_in=True)
        made = writer.create(writer.home / "plain")
        writer.run("upload", str(made), "-r=house", "-c")
        reader = make_client(front)
        assert reader.searched("plain/*") == {"plain/1.0+build.2"}
        reader.run("install", "--requires=plain/1.0+build.2", "-r=house")
        reader.run("cache", "check-integrity", "*:*")

    def test_validators_are_ours(self, front: Front) -> None:
        """A file has one strong tag and one date, for GET, HEAD and a part; both give a 304."""
        file = publish(front, "validators")
        whole = front.get(file.path)
        assert (whole.status, whole.content) == (200, file.content)
        digest = hashlib.sha256(file.content).hexdigest()
        assert digest in whole.fields["etag"]
        assert whole.fields["etag"].startswith('"')
        kept = ("etag", "last-modified", "content-type", "content-disposition", "cache-control")
        guards = ("x-content-type-options", "content-security-policy")
        head = front.ask("HEAD", file.path)
        part = front.get(file.path, Range="bytes=1-6")
        for other in (head, part):
            assert [other.fields[n] for n in kept + guards] == [
                whole.fields[n] for n in kept + guards
            ]
        assert (head.status, head.content) == (200, b"")
        assert head.fields["content-length"] == str(len(file.content))
        for condition in (
            {"If_None_Match": whole.fields["etag"]},
            {"If_None_Match": f'"other", W/{whole.fields["etag"]}'},
            {"If_Modified_Since": whole.fields["last-modified"]},
        ):
            unchanged = front.get(file.path, **condition)
            assert (unchanged.status, unchanged.content) == (304, b"")
            assert unchanged.fields["etag"] == whole.fields["etag"]
        for condition in (
            {"If_None_Match": '"other"'},
            {"If_Modified_Since": "Mon, 01 Jan 2001 00:00:00 GMT"},
        ):
            assert front.get(file.path, **condition).content == file.content

    def test_parts(self, front: Front) -> None:
        """A part is a 206 with its place; If-Range gives it for our tag only; nowhere is a 416."""
        file = publish(front, "parts")
        size = len(file.content)
        tag = front.get(file.path).fields["etag"]
        for asked, part in (("1-6", slice(1, 7)), ("-5", slice(size - 5, size))):
            answer = front.get(file.path, Range=f"bytes={asked}")
            assert (answer.status, answer.content) == (206, file.content[part])
            place = f"bytes {part.start}-{part.stop - 1}/{size}"
            assert answer.fields["content-range"] == place
        held = front.get(file.path, Range="bytes=1-6", If_Range=tag)
        assert (held.status, held.content) == (206, file.content[1:7])
        for other in ('"other"', '"5f3e-61a2"'):
            changed = front.get(file.path, Range="bytes=1-6", If_Range=other)
            assert (changed.status, changed.content) == (200, file.content)
        assert front.get(file.path, Range=f"bytes={size}-").status == 416

    @pytest.mark.slow
    def test_large_body(self, front: Front) -> None:
        """64 MiB go up, with a length and in chunks, and come down again."""
        path = f"{CONANS}/large/1.0/_/_/revisions/{REVISION}/files"
        size = 64 * MIB
        digest = hashlib.sha256(b"".join(stream(size))).hexdigest()
        names = {"conan_export.tgz": {"Content_Length": str(size)}, "conan_sources.tgz": {}}
        for name, fields in names.items():
            assert front.put(f"{path}/{name}", stream(size), **fields).status == 200
        complete(front, path, *names)
        for name in names:
            down = front.get(f"{path}/{name}")
            assert (down.status, len(down.content)) == (200, size)
            assert hashlib.sha256(down.content).hexdigest() == digest

    def test_size_is_ours_to_limit(self, front: Front) -> None:
        """A body of 3 GiB is asked for, and not refused on the way."""
        path = f"{front.prefix}{CONANS}/huge/1.0/_/_/revisions/{REVISION}/files/conan_export.tgz"
        head = [
            f"PUT {path} HTTP/1.1",
            f"Host: {front.place}",
            f"Authorization: {SIGNED_IN['Authorization']}",
            f"Content-Length: {3 * GIB}",
            "Expect: 100-continue",
            "",
            "",
        ]
        with front.connect() as connection:
            connection.sendall("\r\n".join(head).encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")

    def test_empty_body_in_chunks(self, front: Front) -> None:
        """An empty file that is sent in chunks, without a length, is stored empty."""
        path = f"{CONANS}/empty/1.0/_/_/revisions/{REVISION}/files"
        assert front.put(f"{path}/conanfile.py", iter(())).status == 200
        complete(front, path)
        answer = front.get(f"{path}/conanfile.py")
        assert (answer.status, answer.content) == (200, b"")

    def test_spellings(self, front: Front) -> None:
        """Plus and at are the same written out; a slash is not, and neither is a doubled one."""
        file = publish(front, "spelled", "1.0+build.2")
        assert front.get(file.path.replace("+", "%2B")).content == file.content
        assert front.get(file.path.replace("+", "%20")).status in {400, 404}
        notes = file.path.replace("conanfile.py", "metadata/log@1.txt")
        assert front.put(notes, b"note").status == 200
        for written in (notes, notes.replace("@", "%40")):
            assert front.get(written).content == b"note"
        found = front.get(f"{CONANS}/search?q=spelled/1.0%2Bbuild.2")
        assert b"spelled/1.0+build.2" in found.content
        for wrong in (
            file.path.replace("/files/", "%2Ffiles/"),
            file.path.replace("/files/", "%2ffiles/"),
            file.path.replace("/files/", "//files/"),
            file.path.replace("/files/", "/files/x/../"),
            file.path.replace("/files/", "/files/%2e/"),
            file.path.replace("/files/", "/files/%00/"),
        ):
            assert front.get(wrong).status in {400, 404}, wrong

    def test_urls_are_those_of_the_client(self, front: Front) -> None:
        """What we print is how the client came: scheme, host, port and path above us."""
        assert f"  {front.remote}" in front.get("/").content.decode().splitlines()

    def test_nobody_else_says_how_a_client_came(self, front: Front) -> None:
        """Fields that a client sends about its way change nothing, however they are written."""
        for field, value in (
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Proto", "gopher"),
            ("X-Forwarded-Proto", "https" if front.authority is None else "http"),
            ("X-Forwarded-Ssl", "on"),
            ("X-Forwarded-Port", "6666"),
            ("X-Forwarded-Prefix", "/evil"),
            ("X_Forwarded_Prefix", "/evil"),
            ("X-Forwarded-For", "192.0.2.99"),
            ("Forwarded", "host=evil.example"),
            ("Script-Name", "/evil"),
            ("SCRIPT_NAME", "/conan"),
            ("PATH_INFO", "/healthz"),
        ):
            answer = front.ask("GET", "/", headers={field: value})
            assert answer.status == 200, field
            assert f"  {front.remote}" in answer.content.decode().splitlines(), field

    def test_refusals_pass_through(self, front: Front) -> None:
        """Who may not upload is told so in our words, however much is being sent."""
        path = f"{CONANS}/refused/1.0/_/_/revisions/{REVISION}/files/conanfile.py"
        for size in (0, 100_000, 8 * MIB):
            answer = front.ask("PUT", path, stream(size), {"Content-Length": str(size)})
            assert answer.status == 401
            assert answer.ours
            assert "www-authenticate" in answer.fields
        wrong = {"Authorization": "Basic d3JpdGVyOndyb25n"}
        assert front.ask("PUT", path, b"x", wrong).status == 401
        assert front.get(path).status == 404

    def test_kept_connection(self, front: Front) -> None:
        """Requests follow one another on a connection, after refusals too."""
        file = publish(front, "kept")
        missing = file.path.replace("conanfile.py", "conan_export.tgz")
        connection = http.client.HTTPConnection(front.host, front.port)
        connection.sock = front.connect()
        for path, status in ((file.path, 200), (missing, 404), (file.path, 200)) * 3:
            connection.request("GET", front.prefix + path)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == status
            assert status == 404 or content == file.content
        connection.close()

    @pytest.mark.slow
    def test_requests_end_where_we_see_their_end(self, front: Front, folder: Path) -> None:
        """A request that hides another is refused, or both are answered to whoever sent them."""
        answers = {}
        for case in cases(front):
            answers[case] = send(front, case)
            # Who comes next gets an answer to what was asked, and not to what was hidden.
            assert front.get("/healthz").content == b"ok\n", case.name
        refused = {case.name for case, statuses in answers.items() if statuses[:1] != [200]}
        assert refused >= MUST_BE_REFUSED
        log = access_log(folder / "data")
        if log.exists():  # where Apache runs us, there is nobody between
            assert "Traceback" not in log.read_text(encoding="utf-8")
            hidden = {case.name for case in answers if arrived(log, case)}
            assert {case.name for case in answers if len(answers[case]) > 1} >= hidden
