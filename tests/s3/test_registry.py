"""A whole registry on a bucket: Conan and conda over HTTP, collections, redirects."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore import auth
from channel_pool import package
from gate import Gate
from hypothesis import settings as hypothesis_settings
from s3_faults import Fault, rapids
from tests_manifest import manifest
from wsgi_calls import basic, call

import repocore
from repocore import Rule, actions_of, hookimpl, open_registry
from repocore.config import PluginSettings, Settings, WebSettings
from repocore.errors import StorageError
from repocore.testing.machines.files import run_files_machine
from repocore_web import create_app

CONAN = "conan/main"
CONDA = "conda/main"
RECIPE = f"/{CONAN}/v2/conans/zlib/1.3/_/_/revisions/r1/files"
WRITER = basic("writer", "high-water")
NOW = timedelta(0)


class Site:
    """A registry in a corner of a bucket, and its application."""

    def __init__(self, registry, corner):
        self.registry = registry
        self.corner = corner
        self.app = create_app(registry)
        self.admin = registry.session(registry.admin())
        self.admin.accounts.add("writer")
        for address in (CONAN, CONDA):
            self.admin.repositories.create(address)
            rule = Rule(subject="user:writer", actions=actions_of(["all"]), pattern=f"{address}/**")
            self.admin.accounts.add_rule(rule)

    def put(self, target, body):
        answer = call(self.app, target, "PUT", body=body, HTTP_AUTHORIZATION=WRITER)
        assert answer.status in {200, 201}, answer.text

    def get(self, target, **fields):
        return call(self.app, target, HTTP_AUTHORIZATION=WRITER, **fields)


@pytest.fixture
def open_site(tmp_path):
    """Open a site in a new corner of a store, with these settings of ``[plugins.s3]``."""
    with contextlib.ExitStack() as stack:

        def make(store, *, endpoint=None, web=None, catalog=None, **table):
            corner = store.place()
            more = {} if endpoint is None else {"endpoint": endpoint}
            chosen = Settings(
                data=tmp_path,
                storage=corner.url,
                catalog=catalog or f"sqlite:///{tmp_path}/catalog.db",
                web=web or WebSettings(),
                plugins=PluginSettings(tables={"s3": corner.table(**more, **table)}),
            )
            registry = repocore.open_registry(settings=chosen, plugins=(Gate(),))
            return Site(stack.enter_context(registry), corner)

        yield make


def test_conan_and_conda_in_a_bucket(database_url, open_site, store):
    """Uploads, downloads, ranges, deletions and collections, as on a disk."""
    site = open_site(store, catalog=database_url)
    site.put(f"{RECIPE}/conanfile.py", b"0123456789")
    site.put(f"{RECIPE}/conanmanifest.txt", manifest("conanfile.py"))
    got = site.get(f"{RECIPE}/conanfile.py")
    assert (got.status, got.body) == (200, b"0123456789")
    part = site.get(f"{RECIPE}/conanfile.py", HTTP_RANGE="bytes=2-4")
    assert (part.status, part.body) == (206, b"234")
    assert call(site.app, f"{RECIPE}/conanfile.py").status == 401

    made = package("linux-64", "zlib-1.3-0.conda", payload=bytes(300_000))
    site.put(f"/{CONDA}/{made.path}", made.content)
    assert hashlib.sha256(site.get(f"/{CONDA}/{made.path}").body).hexdigest() == made.sha256
    repodata = json.loads(site.get(f"/{CONDA}/linux-64/repodata.json").body)
    assert list(repodata["packages.conda"]) == [made.file]

    assert site.admin.upkeep.check(read_data=True).ok
    before = len(site.corner.names())
    site.admin.releases.delete(CONAN, "zlib/1.3@_/_", "r1")
    site.admin.upkeep.collect(grace=NOW)
    assert len(site.corner.names()) < before
    report = site.admin.upkeep.check(read_data=True)
    assert report.ok
    assert report.unreferenced == 0


def test_the_same_bytes_are_one_object(open_site, store):
    """Under however many paths."""
    site = open_site(store)
    for name in ("a", "b"):
        site.put(f"/{CONAN}/v2/conans/{name}/1/_/_/revisions/r/files/conanfile.py", b"tide" * 99)
    assert len(site.corner.names()) == 1


def test_lost_and_spoilt_objects_are_found(open_site, store):
    """`repocore check` asks for each, and reads them if it is told to."""
    site = open_site(store)
    for name in ("a", "b"):
        site.put(f"/{CONAN}/v2/conans/{name}/1/_/_/revisions/r/files/conanfile.py", name.encode())
    lost, spoilt = site.corner.names()
    site.corner.bucket.delete(lost)
    site.corner.bucket.put(spoilt, b"?", b"")
    problems = site.admin.upkeep.check(read_data=True).problems
    assert len(problems) == 2
    assert "missing from the storage" in " ".join(problems)
    assert "cannot be read" in " ".join(problems)


def test_a_store_that_fails_refuses_uploads_and_changes_nothing(open_site, moto):
    """Who uploads is told to come again; nothing of it is there."""
    with rapids(moto.settings.endpoint) as way:
        site = open_site(moto, endpoint=way.address, retries=0)
        for status, code, answered in ((503, "SlowDown", 503), (403, "QuotaExceeded", 507)):
            way.faults.append(Fault("PUT", "sha256", status=status, code=code))
            answer = call(
                site.app,
                f"{RECIPE}/conanfile.py",
                "PUT",
                body=b"tide",
                HTTP_AUTHORIZATION=WRITER,
            )
            assert answer.status == answered, answer.text
            assert site.corner.names() == []
        assert site.admin.upkeep.check(read_data=True).ok
        site.put(f"{RECIPE}/conanfile.py", b"tide")


def test_a_download_that_breaks_is_no_short_file(open_site, moto):
    """The connection breaks before its announced end, and does not end as if it were done."""
    with rapids(moto.settings.endpoint) as way:
        site = open_site(moto, endpoint=way.address, retries=0)
        site.put(f"{RECIPE}/conanfile.py", bytes(600_000))
        way.faults.append(Fault("GET", "sha256", times=9, cut=300_000))
        # The manifest makes it visible; drafts are nobody's.
        site.put(f"{RECIPE}/conanmanifest.txt", manifest("conanfile.py"))
        with pytest.raises(StorageError):
            site.get(f"{RECIPE}/conanfile.py")


# ----------------------------------------------------------------------------------- redirects


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def fetch(url, **fields):
    """Ask for a URL as any client does: status, header fields and body."""
    request = urllib.request.Request(url, headers=fields)
    opener = urllib.request.build_opener(_NoRedirects())
    try:
        with opener.open(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def published(site, name="conanfile.py", content=b"0123456789"):
    site.put(f"{RECIPE}/conanfile.py", content)
    site.put(f"{RECIPE}/conanmanifest.txt", manifest("conanfile.py"))
    return f"{RECIPE}/{name}"


def test_bytes_are_passed_on_unless_somebody_wants_otherwise(open_site, store):
    """The store may be where clients cannot reach it."""
    site = open_site(store)
    assert site.get(published(site)).status == 200


def test_the_setting_of_all_storages_goes_before(open_site, store):
    """`web.redirect` is about every storage that has URLs."""
    site = open_site(store, redirect=True, web=WebSettings(redirect=False))
    assert site.get(published(site)).status == 200


def test_clients_are_sent_to_the_store_after_they_were_allowed(open_site, store):
    """The URL serves the bytes under the file's own name; others are refused before it."""
    site = open_site(store, redirect=True)
    target = published(site)
    assert call(site.app, target).status == 401
    answer = site.get(target)
    assert (answer.status, answer.body) == (302, b"")
    assert "no-cache" in answer.headers["cache-control"]
    status, fields, body = fetch(answer.headers["location"])
    assert (status, body) == (200, b"0123456789")
    assert fields["Content-Disposition"] == 'attachment; filename="conanfile.py"'
    assert fields["Content-Type"].startswith("text/plain")
    status, _, body = fetch(answer.headers["location"], Range="bytes=2-4")
    assert (status, body) == (206, b"234")
    head = call(site.app, target, "HEAD", HTTP_AUTHORIZATION=WRITER)
    assert (head.status, head.headers["content-length"]) == (200, "10")


def test_url_lives_as_long_as_the_setting_says(open_site, store):
    """In whole seconds, a week at most."""
    site = open_site(store, redirect=True, web=WebSettings(redirect_lifetime=timedelta(minutes=3)))
    query = parse_qs(urlsplit(site.get(published(site)).headers["location"]).query)
    assert query["X-Amz-Expires"] == ["180"]
    key = next(iter(site.registry.storage.keys()))
    words = {"filename": "x", "media_type": "text/plain"}
    url = site.registry.storage.url(key, expires=timedelta(days=99), **words)
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["604800"]


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("zlib-1.3-0.conda", 'attachment; filename="zlib-1.3-0.conda"'),
        ("flüt 1.txt", "attachment; filename=\"fl_t 1.txt\"; filename*=UTF-8''fl%C3%BCt%201.txt"),
        ('a"b\\\r\n', "attachment; filename=\"a_b___\"; filename*=UTF-8''a%22b%5C%0D%0A"),
    ],
)
def test_names_of_downloads(store, name, disposition):
    """RFC 6266: nothing in a name ends the field, or begins another."""
    storage = store.storage(redirect=True)
    key = repocore.BlobKey.make("ab" * 32)
    writer = storage.writer()
    writer.write(b"tide")
    writer.commit(key)
    writer.abort()
    url = storage.url(key, filename=name, media_type="text/plain", expires=timedelta(minutes=1))
    assert url is not None
    status, fields, body = fetch(url)
    assert (status, body, fields["Content-Disposition"]) == (200, b"tide", disposition)


def test_outer_end_point_is_the_clients_alone(open_site, moto):
    """The server itself goes where it always goes."""
    with rapids(moto.settings.endpoint) as outside:
        site = open_site(moto, redirect=True, public_endpoint=outside.address)
        location = site.get(published(site)).headers["location"]
        assert location.startswith(outside.address)
        assert outside.exchanges == []
        assert fetch(location)[2] == b"0123456789"


@pytest.mark.s3_real
def test_signed_urls_are_for_one_file_and_end(real_store, monkeypatch):
    """Another file, another method, another field or a later time, and the store refuses."""
    storage = real_store.storage(redirect=True)
    key = repocore.BlobKey.make("ab" * 32)
    writer = storage.writer()
    writer.write(b"tide")
    writer.commit(key)
    writer.abort()
    words = {"filename": "x", "media_type": "text/plain"}
    url = storage.url(key, expires=timedelta(seconds=60), **words)
    assert fetch(url)[0] == 200
    assert fetch(url.replace(str(key), f"{'cd' * 32}.{key.generation}"))[0] == 403
    assert fetch(url.replace("text%2Fplain", "text%2Fhtml"))[0] == 403
    assert fetch(url.partition("?")[0])[0] in {400, 401, 403}  # stores differ here
    made = auth.get_current_datetime
    monkeypatch.setattr(auth, "get_current_datetime", lambda: made() - timedelta(hours=1))
    late = storage.url(key, expires=timedelta(seconds=60), **words)
    assert late != url
    assert fetch(late)[0] == 403


# ------------------------------------------------------------------------------- the machine


def test_files_survive_everything_in_a_bucket(store):
    """Uploads, deletions, collections, failures and deaths of two processes lose nothing."""

    @contextlib.contextmanager
    def installation():
        storage = store.storage()

        class Bay:
            @hookimpl
            def repocore_storage(self):
                return storage

        with tempfile.TemporaryDirectory() as folder:
            chosen = Settings(data=Path(folder))
            yield lambda plugins: open_registry(settings=chosen, plugins=[Bay(), *plugins])

    few = max(hypothesis_settings().max_examples // 25, 2)
    run_files_machine(installation, hypothesis_settings(max_examples=few, stateful_step_count=15))
