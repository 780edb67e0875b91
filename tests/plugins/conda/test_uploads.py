"""Uploads as the commands of other servers send them."""

from __future__ import annotations

import json

import pytest
from channel_pool import package

MAIN = "conda/main"
QUETZ = "/api/channels/main/upload"
EDGE = "----edge"


def form(*parts: tuple[str, str | None, bytes], **fields: str) -> dict[str, object]:
    """A multipart request; each part is (name, file name, content)."""
    body = b""
    extra = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    for name, filename, content in parts:
        said = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        body += (
            f"--{EDGE}\r\nContent-Disposition: {said}\r\n{extra}\r\n".encode() + content + b"\r\n"
        )
    body += f"--{EDGE}--\r\n".encode()
    return {"body": body, "CONTENT_TYPE": f"multipart/form-data; boundary={EDGE}"}


def test_raw_body_of_quetz(channel, zlib) -> None:
    """The package tells its subdir; the answer is null and 201."""
    target = f"{QUETZ}/{zlib.file}?force=false&sha256={zlib.sha256}"
    answer = channel.signed(
        target, "POST", body=zlib.content, CONTENT_LENGTH=str(len(zlib.content))
    )
    assert (answer.status, answer.body) == (201, b"null")
    assert channel.names("linux-64") == [zlib.file]


def test_key_of_quetz(channel, zlib) -> None:
    """A token in the field that its clients send."""
    accounts = channel.admin.accounts
    accounts.add("robot", "high-water-mark-2")
    channel.allow("user:robot", "read,write")
    secret = accounts.create_token("robot", "ci")[1]
    for key, status in ((secret, 201), ("rpc-wrong", 401)):
        answer = channel.call(
            f"{QUETZ}/{zlib.file}?sha256=", "POST", body=zlib.content, HTTP_X_API_KEY=key
        )
        assert answer.status == status
    accounts.remove("robot")


def test_a_wrong_checksum_is_not_acceptable(channel, zlib) -> None:
    """406, as clients of that API expect."""
    target = f"{QUETZ}/{zlib.file}?sha256={'0' * 64}"
    assert channel.signed(target, "POST", body=zlib.content).status == 406
    assert channel.names() == []


def test_a_conflict_is_told(channel, zlib) -> None:
    """409 for other bytes of the name; the same bytes are fine."""
    target = f"{QUETZ}/{zlib.file}?sha256="
    other = package("linux-64", zlib.file, payload=b"other")
    assert channel.signed(target, "POST", body=zlib.content).status == 201
    assert channel.signed(target, "POST", body=zlib.content).status == 201
    assert channel.signed(target, "POST", body=other.content).status == 409


def test_form_of_quetz_with_several_files(channel, zlib, tide) -> None:
    """Each goes where it says it belongs."""
    sent = form(("files", zlib.file, zlib.content), ("files", tide.file, tide.content))
    assert channel.signed("/api/channels/main/files", "POST", **sent).status == 201
    assert (channel.names("linux-64"), channel.names()) == ([zlib.file], [tide.file])


def test_form_of_one_package_takes_no_other(channel, zlib, tide) -> None:
    """The address says whose files they are."""
    target = "/api/channels/main/packages/zlib/files"
    assert channel.signed(target, "POST", **form(("files", tide.file, tide.content))).status == 400
    assert channel.signed(target, "POST", **form(("files", zlib.file, zlib.content))).status == 201


def test_form_of_prefix(channel, zlib) -> None:
    """One part, whose own fields name the file and its checksum."""
    said = {"X-File-Name": zlib.file, "X-File-SHA256": zlib.sha256}
    answer = channel.signed(
        "/api/v1/upload/main", "POST", **form(("file", "x", zlib.content), **said)
    )
    assert (answer.status, json.loads(answer.body)) == (201, [zlib.path])
    said["X-File-SHA256"] = "0" * 64
    other = package("linux-64", "zlib-1.4-0.conda")
    said["X-File-Name"] = other.file
    sent = form(("file", "x", other.content), **said)
    assert channel.signed("/api/v1/upload/main", "POST", **sent).status == 406


def test_a_file_name_is_no_path(channel, zlib) -> None:
    """What leads elsewhere is cut off, as browsers send folders."""
    sent = form(("file", f"C:\\\\somewhere\\\\{zlib.file}", zlib.content))
    assert channel.signed("/api/v1/upload/main", "POST", **sent).status == 201
    sent = form(("file", f"../../{zlib.file}", zlib.content))
    assert channel.signed("/api/v1/upload/main", "POST", **sent).status == 201
    assert channel.names("linux-64") == [zlib.file]


@pytest.mark.parametrize(
    "target",
    [f"{QUETZ}/zlib-1.3-0.conda?sha256=", "/api/channels/main/files", "/api/v1/upload/main"],
)
def test_uploads_need_write(channel, zlib, target) -> None:
    """401 for nobody, 403 for who may only read, 404 where one may not even read."""
    sent = form(("file", zlib.file, zlib.content), ("files", zlib.file, zlib.content))
    if "upload/zlib" in target:
        sent = {"body": zlib.content}
    assert channel.call(target, "POST", **sent).status == 401
    assert channel.signed(target, "POST", "reader", **sent).status == 403
    assert channel.signed(target.replace("main", "gone"), "POST", "reader", **sent).status == 404
    assert channel.call("/conda/main/linux-64/repodata.json").status == 404


def test_a_form_without_a_package_is_refused(channel) -> None:
    """With the name of the part that is missing."""
    answer = channel.signed("/api/v1/upload/main", "POST", **form(("other", None, b"x")))
    assert answer.status == 422
    assert "file" in answer.text
    answer = channel.signed(
        "/api/v1/upload/main", "POST", body=b"{}", CONTENT_TYPE="application/json"
    )
    assert answer.status == 422
    assert "multipart/form-data" in answer.text


def test_a_virtual_package_is_refused(channel, zlib) -> None:
    """Clients make those up themselves."""
    answer = channel.signed(f"{QUETZ}/__cuda-12-0.conda?sha256=", "POST", body=zlib.content)
    assert answer.status == 400
    assert "virtual" in answer.text
