"""Who may read and change a channel, and what is said to whoever may not."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs
import pytest
from channel_pool import package
from cli_support import finished, launch, read_document
from wsgi_calls import Answer, basic

import repocore
from repocore import Rule, actions_of

MAIN = "conda/main"
ZLIB = package("linux-64", "zlib-1.3-0.conda")
AT = f"/{MAIN}/{ZLIB.path}"
DOCUMENTS = [
    "channeldata.json",
    "noarch/repodata.json",
    "noarch/repodata.json.zst",
    "linux-64/repodata_shards.msgpack.zst",
    "linux-64/current_repodata.json",
    "linux-64/run_exports.json",
]
READING = [f"/{MAIN}/{path}" for path in DOCUMENTS] + [AT]
RELEASES = json.dumps(
    {"repository": MAIN, "releases": [{"partition": "linux-64", "name": ZLIB.file}]}
).encode()
#: Everything that changes something, and needs more than to read.
CHANGES = [
    ("PUT", AT, ZLIB.content),
    ("DELETE", AT, b""),
    ("POST", f"/api/channels/main/upload/{ZLIB.file}", ZLIB.content),
    ("POST", "/api/channels/main/files", b"--x--\r\n"),
    ("POST", "/api/v1/upload/main", b"--x--\r\n"),
    ("POST", "/api/v1/releases/yank", RELEASES),
    ("POST", "/api/v1/releases/unyank", RELEASES),
    ("POST", "/api/v1/releases/delete", RELEASES),
]
FORM = "multipart/form-data; boundary=x"


@attrs.frozen
class House:
    """A private channel with a package, and ann, who may read it."""

    channel: Any
    token: str

    def ask(self, form: str, at: str, method: str = "GET", secret: str | None = None) -> Answer:
        """Ask with credentials in one of the forms that clients have."""
        secret = secret or self.token
        field = {
            "bearer": {"HTTP_AUTHORIZATION": f"Bearer {secret}"},
            "key": {"HTTP_X_API_KEY": secret},
            "basic": {"HTTP_AUTHORIZATION": basic("__token__", secret)},
            "basic, any name": {"HTTP_AUTHORIZATION": basic("ann", secret)},
            "path": {},
        }[form]
        return self.channel.call(f"/t/{secret}{at}" if form == "path" else at, method, **field)


FORMS = ["bearer", "key", "basic", "basic, any name", "path"]


@pytest.fixture
def house(channel) -> Iterator[House]:
    assert channel.put(ZLIB).status == 201
    admin = channel.admin
    for rule in admin.accounts.rules():
        admin.accounts.remove_rule(rule.id or 0)
    admin.repositories.configure(MAIN, private=True)
    admin.accounts.add("ann", "high-water")
    channel.allow("user:ann", "read")
    channel.allow("user:writer", "all")
    yield House(channel, admin.accounts.create_token("ann", "laptop")[1])
    admin.accounts.remove("ann")


# ------------------------------------------------------------------------------ who may come in


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at", READING)
def test_a_token_opens_a_private_channel(house, form, at) -> None:
    """In each form that a client has for it, for GET and HEAD alike."""
    answer = house.ask(form, at)
    assert answer.status == 200
    head = house.ask(form, at, "HEAD")
    assert (head.status, head.headers["etag"]) == (200, answer.headers["etag"])
    unchanged = house.channel.call(at, HTTP_IF_NONE_MATCH=answer.headers["etag"])
    assert unchanged.status == 404  # to know a tag is not to have a token


def test_a_password_opens_it_too(house) -> None:
    """As conda sends it with each request, without being asked."""
    for at in READING:
        assert house.channel.signed(at, who="ann").status == 200


def test_a_token_in_the_path_goes_before_a_field(house) -> None:
    """A client that has found both means the one in the URL."""
    wrong = basic("ann", "low-water")
    answer = house.channel.call(f"/t/{house.token}{AT}", HTTP_AUTHORIZATION=wrong)
    assert answer.status == 200


# --------------------------------------------------------------------------------- who may not


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("at", READING)
def test_what_may_not_be_read_is_not_there(house, method, at) -> None:
    """Nothing tells a private channel from one that was never made, to strangers and to others."""
    house.channel.admin.accounts.add("bob", "high-water")
    try:
        elsewhere = at.replace(MAIN, "conda/nowhere")
        for ask in (house.channel.call, lambda *words: house.channel.signed(*words, who="bob")):
            hidden, missing = ask(at, method), ask(elsewhere, method)
            assert (hidden.status, missing.status) == (404, 404)
            assert hidden.body == missing.body
            assert shown(hidden) == shown(missing)
    finally:
        house.channel.admin.accounts.remove("bob")


def shown(answer: Answer) -> dict[str, str]:
    """The fields but for the number of the request."""
    return {name: value for name, value in answer.headers.items() if name != "x-request-id"}


def test_a_file_that_is_missing_is_as_one_that_is_hidden(house) -> None:
    """Also below a channel that exists: a name that is there and one that is not."""
    there, nowhere = (
        house.channel.call(f"/{MAIN}/linux-64/{name}") for name in (ZLIB.file, "no-1.0-0.conda")
    )
    assert (there.status, there.body) == (nowhere.status, nowhere.body)
    known = house.ask("bearer", f"/{MAIN}/linux-64/no-1.0-0.conda")
    assert (known.status, known.body) == (404, nowhere.body)


@pytest.mark.parametrize("form", FORMS)
def test_wrong_credentials_are_told_on_every_route(house, form) -> None:
    """401 with a challenge: to be taken for a stranger would hide the mistake."""
    wrong = house.token[:-4] + ("aaaa" if house.token[-4:] != "aaaa" else "bbbb")
    house.channel.admin.repositories.configure(MAIN, private=False)
    house.channel.allow("*", "read")
    for at in READING:
        for method in ("GET", "HEAD"):
            answer = house.ask(form, at, method, wrong)
            assert answer.status == 401, (form, at)
            assert "www-authenticate" in answer.headers
    for method, at, _ in CHANGES:
        assert house.ask(form, at, method, wrong).status == 401, (form, at)
    # So do credentials for an address that nothing has.
    assert house.ask(form, "/conda/nowhere/noarch/repodata.json", "GET", wrong).status == 401


def test_credentials_that_have_ended_are_wrong(house) -> None:
    """Expired, revoked, or of an account that is disabled; with the very next request."""
    accounts = house.channel.admin.accounts
    expired = accounts.create_token("ann", "old", lifetime=timedelta(microseconds=1))[1]
    assert house.ask("bearer", AT, secret=expired).status == 401
    token, revoked = accounts.create_token("ann", "lost")
    assert house.ask("path", AT, secret=revoked).status == 200
    accounts.revoke_token(token.id)
    assert house.ask("path", AT, secret=revoked).status == 401
    accounts.disable("ann")
    for form in FORMS:
        assert house.ask(form, AT).status == 401


@pytest.mark.parametrize(
    "field",
    ["Token abc", "Digest x", "Basic", "Basic !", "Bearer", "Bearer a b", "Basic bm9jb2xvbg=="],
)
def test_a_field_that_cannot_be_read_is_a_wrong_one(house, field) -> None:
    """No scheme but Basic and Bearer is spoken here, and half a field is none."""
    assert house.channel.call(AT, HTTP_AUTHORIZATION=field).status == 401


@pytest.mark.parametrize(("method", "at", "body"), CHANGES)
def test_changes_need_more_than_to_read(house, method, at, body) -> None:
    """403 for a reader, who knows that it is there; 404 or 401 for who cannot even read."""
    sent = {"body": body, "CONTENT_TYPE": FORM if body.startswith(b"--") else "application/json"}
    before = house.ask("bearer", READING[0]).body
    bearer = f"Bearer {house.token}"
    denied = house.channel.call(at, method, **sent, HTTP_AUTHORIZATION=bearer)
    if at.endswith(("/files", "/v1/upload/main")):
        # A form without a file: who may do nothing of it is told by the first that comes.
        assert denied.status in {403, 422}
    else:
        assert denied.status == 403
    assert house.channel.call(at, method, **sent).status == 401
    house.channel.admin.accounts.add("bob", "high-water")
    try:
        assert house.channel.signed(at, method, "bob", **sent).status in {404, 422}
    finally:
        house.channel.admin.accounts.remove("bob")
    assert house.ask("bearer", READING[0]).body == before


def test_each_change_has_a_permission_of_its_own(house) -> None:
    """To write is not to overwrite, to yank, or to delete."""
    accounts = house.channel.admin.accounts
    accounts.add("carl", "high-water")
    try:
        house.channel.allow("user:carl", "read,write")
        new = package("linux-64", "new-1.0-0.conda")
        assert house.channel.put(new, "carl").status == 201
        yank = {"who": "carl", "body": RELEASES}
        for verb in ("yank", "delete"):
            assert house.channel.signed(f"/api/v1/releases/{verb}", "POST", **yank).status == 403
        house.channel.allow("user:carl", "yank")
        assert house.channel.signed("/api/v1/releases/yank", "POST", **yank).status == 200
        assert ZLIB.file not in house.channel.names("linux-64")
        assert house.channel.signed(AT, "DELETE", "carl").status == 403
    finally:
        accounts.remove("carl")


def test_a_package_may_be_somebodys_own(house) -> None:
    """Rules of single packages are for changes; all that read see the same index."""
    accounts = house.channel.admin.accounts
    accounts.add("carl", "high-water")
    try:
        for actions, pattern in (("read", f"{MAIN}/**"), ("write,yank,delete", f"{MAIN}/zlib/**")):
            house.channel.allow("user:carl", actions, pattern)
        assert house.channel.put(package("linux-64", "new-1.0-0.conda"), "carl").status == 403
        assert house.channel.put(package("linux-64", "zlib-1.4-0.conda"), "carl").status == 201
        for verb in ("yank", "unyank", "delete"):
            answer = house.channel.signed(
                f"/api/v1/releases/{verb}", "POST", who="carl", body=RELEASES
            )
            assert answer.status == 200
        other = f"/{MAIN}/linux-64/zlib-1.4-0.conda"
        assert house.channel.signed(other, "DELETE", "carl").status == 204
    finally:
        accounts.remove("carl")


def test_a_token_may_do_less_than_its_account(house) -> None:
    """A builder's token uploads; one for readers does not, whoever has made it."""
    accounts = house.channel.admin.accounts
    house.channel.allow("user:ann", "all")
    scope = [Rule(subject="*", actions=actions_of(["read"]), pattern=f"{MAIN}/**")]
    reading = accounts.create_token("ann", "reads", rules=scope)[1]
    assert house.ask("path", AT, secret=reading).status == 200
    for method, at, _ in CHANGES[:3]:
        assert house.ask("key", at, method, reading).status == 403


# -------------------------------------------------------------------------------------- secrets


def test_a_token_is_in_no_answer_and_no_log(house, monkeypatch, caplog) -> None:
    """Whatever fails: what is told and what is written down has *** in its place."""
    caplog.set_level(logging.DEBUG)
    canary = house.token
    answers = [house.ask("path", at) for at in READING]
    answers += [house.ask("path", at, method) for method, at, _ in CHANGES]
    answers += [house.ask(form, AT, secret=f"{canary}x") for form in FORMS]
    answers += [house.channel.call(f"/t/{canary}/conda/main/../x")]

    def fail(*_words: Any) -> Any:
        message = f"cannot read /t/{canary}/conda/main"
        raise RuntimeError(message)

    monkeypatch.setattr(type(house.channel.registry.storage), "open", fail)
    failed = house.ask("path", AT)
    assert failed.status == 500
    for answer in [*answers, failed]:
        assert canary not in f"{answer.headers}{answer.body!r}"
    assert "***" in caplog.text
    assert canary not in caplog.text


def test_a_server_writes_no_token_down(tmp_path) -> None:
    """Neither in the access log nor among errors, of right tokens, wrong ones and broken URLs."""
    pytest.importorskip("gunicorn")
    process = launch(tmp_path, "--access-log", REPOCORE_ADMIN_PASSWORD="high-water")
    with finished(process):
        try:
            port = int(read_document(process)["addresses"][0].rpartition(":")[2])
            with repocore.open_registry(tmp_path) as registry:
                session = registry.session(registry.admin())
                secret = session.accounts.create_token("admin", "canary")[1]
            for path in (f"/t/{secret}/{MAIN}/noarch/repodata.json", f"/t/{secret}x/{MAIN}/y", "/"):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("GET", path, headers={"Referer": f"http://x/t/{secret}/"})
                connection.getresponse().read()
                connection.close()
        finally:
            process.terminate()
        said = "".join(process.communicate(timeout=60))
    assert "/t/***/conda/main/noarch/repodata.json" in said
    assert secret not in said
    assert secret[4:] not in said
