"""At the edges: full memories, formats that went, access that changes, work that fails."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from sqlalchemy import update

import repocore
from repocore import (
    Action,
    Anonymous,
    BlobKey,
    Digest,
    Effect,
    File,
    FileFacts,
    FilePath,
    InvalidPackageError,
    MissingError,
    NotAuthenticatedError,
    Password,
    Principal,
    Registry,
    RejectedError,
    ReleaseMissingError,
    RepositoryMissingError,
    Resource,
    Rule,
    StorageError,
    hookimpl,
)
from repocore.catalog import tables
from repocore.config import Settings
from repocore.errors import FileMissingError
from repocore.model import Grain
from repocore.model.access import Pattern
from repocore.registry import access, auditing, checking, exporting
from repocore.registry.relay import Relay

PARTITION = "zlib/1.3@_/_"
CONANFILE = "zlib/1.3/_/_/r1/export/conanfile.py"


class Notes:
    """A format of loose text files, told apart by repository only; ``lies`` are of no package."""

    name = "notes"
    read_grain = Grain.REPOSITORY
    needs_checksums: frozenset[str] = frozenset()
    overwrites = True

    def locate(self, path: FilePath) -> FileFacts:
        return FileFacts(package=path.parts[0], version="1", media_type="text/plain")

    def inspect(self, path: FilePath, content: object) -> FileFacts:
        facts = self.locate(path)
        if path.name == "reads":
            with content.open() as stream:  # type: ignore[attr-defined]
                assert stream.read() == b"shared"
            assert content.checksums.sha256  # type: ignore[attr-defined]
        return attrs.evolve(facts, package="other") if path.name == "lies" else facts

    def scope(self, partition: str) -> tuple[str | None, str | None]:
        return partition, None

    def whole(self, draft: object, files: list[File]) -> bool:
        return bool(files)

    def sort_key(self, version: str) -> bytes:
        return version.encode()


class Brings:
    """The plugin of the format; without ``on`` it brings nothing."""

    @hookimpl
    def repocore_formats(self) -> list[Notes]:
        return [Notes()]


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Registry]:
    settings = Settings(data=tmp_path)
    with repocore.open_registry(settings=settings, plugins=[Brings()]) as registry:
        registry.session(registry.admin()).repositories.create("notes/main")
        yield registry


def put(registry: Registry, path: str, content: bytes = b"text") -> File:
    session = registry.session(registry.admin())
    return session.files.put("notes/main", path, io.BytesIO(content))


# ------------------------------------------------------------------------------------- formats


def test_content_of_another_package_is_refused(notes: Registry) -> None:
    """What the content says must be what the path said when the writer was asked."""
    with pytest.raises(InvalidPackageError, match="is not the package that"):
        put(notes, "ann/lies")
    assert list(notes.session(notes.admin()).files.list("notes/main")) == []


def test_coarse_format_is_read_by_repository(notes: Registry) -> None:
    """Rules about packages do not split what the format cannot tell apart."""
    put(notes, "ann/one")
    admin = notes.session(notes.admin())
    admin.accounts.add_rule(
        Rule(subject="user:ann", actions=frozenset({Action.READ}), pattern="notes/main")
    )
    ann = notes.session(Principal(name="ann", via="test"))
    assert [str(file.path) for file in ann.files.list("notes/main")] == ["ann/one"]
    with ann.files.open("notes/main", "ann/one") as stream:
        assert stream.read() == b"text"
    assert ann.releases.list("notes/main", "none") == []
    with pytest.raises(ReleaseMissingError):
        ann.releases.latest("notes/main", "none")


def test_bytes_are_referred_to_and_read_again(notes: Registry) -> None:
    """A format may look into bytes that the storage holds already."""
    stored = put(notes, "ann/one", b"shared")
    admin = notes.session(notes.admin())
    digest = Digest("sha256", stored.digest)
    assert str(admin.files.refer("notes/main", "bob/reads", digest).path) == "bob/reads"


def test_repository_of_a_format_that_went(notes: Registry, tmp_path: Path) -> None:
    """Without the plugin its files can be neither written nor read; the check goes on."""
    put(notes, "ann/one")
    notes.close()
    with repocore.open_registry(settings=Settings(data=tmp_path)) as registry:
        admin = registry.session(registry.admin())
        with pytest.raises(RepositoryMissingError):
            admin.files.put("notes/main", "ann/two", io.BytesIO(b"x"))
        with pytest.raises(RepositoryMissingError):
            list(admin.files.list("notes/main"))
        assert admin.files.stat("notes/main", "ann/one").size == 4
        assert admin.releases.list("notes/main", "none") == []
        admin.upkeep.collect(grace=timedelta(0))


# -------------------------------------------------------------------------------------- access


def test_memories_are_bounded(house, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions, verified secrets and lists are forgotten before they are too many."""
    monkeypatch.setattr(access, "_MOST", 3)
    monkeypatch.setattr(access, "_MOST_LISTS", 3)
    house.recipe("r1")
    house.allow("*", "read", "conan/main/**")
    house.admin.accounts.add("ann", "low-tide-42")
    for number in range(10):
        someone = house.as_(f"user{number}")
        assert someone.files.stat("conan/main", CONANFILE)
        assert not someone.allowed(Action.WRITE, Resource("conan", "main", f"p{number}", "1"))
        with pytest.raises(NotAuthenticatedError):
            house.registry.connect(Password("ann", f"wrong{number}"))
        session = house.registry.connect(Password("ann", "low-tide-42"))
        assert session.principal.name == "ann"
        assert someone.repositories.list() != []
    known = house.registry.access
    assert 0 < len(known.decisions) <= 3
    assert 0 < len(known.verified) <= 3
    assert 0 < len(known.readable) <= 3


def test_credentials_of_a_plugins_kind_are_asked_each_time(tmp_path: Path) -> None:
    """What the memory has no key for is never remembered."""

    @attrs.frozen
    class Badge:
        number: int

    asked: list[object] = []

    class Reader:
        @hookimpl
        def repocore_authenticate(self, credentials: object) -> Principal | None:
            if isinstance(credentials, Badge):
                asked.append(credentials)
                return Principal(name="ann", via="badge")
            return None

    with repocore.open_registry(settings=Settings(data=tmp_path), plugins=[Reader()]) as registry:
        for _ in range(2):
            assert registry.connect(Badge(7)).principal.name == "ann"  # type: ignore[arg-type]
    assert len(asked) >= 2


def test_authorizer_that_gives_no_survey_is_asked_for_each(tmp_path: Path) -> None:
    """Lists are filtered entry by entry where a plugin cannot say it of a whole repository."""

    class Even:
        @hookimpl(tryfirst=True)
        def repocore_authorize(self, action: Action, resource: Resource) -> bool:
            return action is Action.READ and resource.package in {None, "zlib2", "zlib4"}

    with repocore.open_registry(settings=Settings(data=tmp_path), plugins=[Even()]) as registry:
        admin = registry.session(registry.admin())
        admin.repositories.create("conan/main")
        for number in range(5):
            path = f".sources/{number:064x}"
            assert path
            base = f"zlib{number}/1/_/_/r1/export"
            admin.files.put("conan/main", f"{base}/conanfile.py", io.BytesIO(b"x"))
            admin.files.put("conan/main", f"{base}/conanmanifest.txt", io.BytesIO(b"no manifest"))
        ann = registry.session(Principal(name="ann", via="test"))
        names = {file.path.parts[0] for file in ann.files.list("conan/main")}
        assert names == {"zlib2", "zlib4"}


def test_access_that_changes_under_every_read(house, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that is overtaken again and again is decided a last time, and answered."""
    house.recipe("r1")
    house.allow("*", "read", "conan/main/**")
    someone = house.as_("ann")
    context = someone._context
    settled = context.settled
    monkeypatch.setattr(context, "settled", lambda version: settled(version) and False)
    assert someone.releases.newest("conan/main", PARTITION)[0] == "r1"


def test_scope_of_a_token_only_narrows(house) -> None:
    """No deny in it, and no end before its beginning."""
    house.admin.accounts.add("ann")
    allow = Rule(subject="*", actions=frozenset({Action.READ}), pattern="conan/**")
    deny = attrs.evolve(allow, effect=Effect.DENY)
    with pytest.raises(RejectedError, match="only allows"):
        house.admin.accounts.create_token("ann", "ci", rules=(deny,))
    with pytest.raises(RejectedError, match="more than no time"):
        house.admin.accounts.create_token("ann", "ci", lifetime=timedelta(0))
    with pytest.raises(RejectedError, match="at most 36500 days"):
        house.admin.accounts.create_token("ann", "ci", lifetime=timedelta.max)
    assert house.admin.accounts.tokens("ann") == []
    with pytest.raises(MissingError):
        house.admin.accounts.create_token("nobody", "ci")


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_passwords_have_bounds(house, password: str) -> None:
    """An empty one is none, and a very long one is work for nothing."""
    with pytest.raises(RejectedError, match="at most 1024"):
        house.admin.accounts.add("ann", password)


def test_signing_keys_rotate(house) -> None:
    """The newest signs; the first is made once, whoever asks first."""
    accounts = house.admin.accounts
    [first] = accounts.signing_keys("test")
    assert accounts._new_key("test", first=True) == first
    second = accounts.rotate_signing_key("test")
    assert [key.id for key in accounts.signing_keys("test")] == [second.id, first.id]


def test_nobody_gets_no_token(house) -> None:
    """A signed token is for somebody."""
    with pytest.raises(NotAuthenticatedError):
        house.registry.issue(
            house.registry.authenticate(Anonymous()), audience="conan", lifetime=timedelta(1)
        )


# ------------------------------------------------------------------------------------ releases


def test_release_is_got_and_yanked(house) -> None:
    """A yanked release is got by its name and listed nowhere; what is not there is neither."""
    house.recipe("r1")
    releases = house.admin.releases
    assert releases.get("conan/main", PARTITION, "r1").yanked_at is None
    assert releases.yank("conan/main", PARTITION, "r1").yanked_at is not None
    assert releases.get("conan/main", PARTITION, "r1").yanked_at is not None
    with pytest.raises(ReleaseMissingError):
        releases.latest("conan/main", PARTITION)
    assert releases.yank("conan/main", PARTITION, "r1", yanked=False).yanked_at is None
    assert releases.latest("conan/main", PARTITION).name == "r1"
    for wrong in (releases.get, releases.yank):
        with pytest.raises(ReleaseMissingError):
            wrong("conan/main", PARTITION, "r2")


def test_file_is_deleted_once(house, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who delete a file at once: one of them finds nothing left, and nothing else goes."""
    path = "zlib/1.3/_/_/r1/export/metadata/log.txt"
    house.recipe("r1")
    house.put(path, b"note")
    files = house.admin.files
    catalog = house.registry._services.catalog
    write = catalog.write

    def overtaken(work, *rest):
        monkeypatch.setattr(catalog, "write", write)
        house.admin.files.delete("conan/main", path)
        return write(work, *rest)

    monkeypatch.setattr(catalog, "write", overtaken)
    files.delete("conan/main", path)
    with pytest.raises(FileMissingError):
        files.delete("conan/main", path)
    assert len(house.listing()) == 2


def test_upload_that_meets_a_clean_up_each_time(house, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer whose reservation is always taken gives up with a sentence, and nothing is there."""
    from repocore.registry import blobs  # noqa: PLC0415 - the room behind the door

    monkeypatch.setattr(blobs, "commit", lambda _transaction, _change: None)
    with pytest.raises(StorageError, match="send it again"):
        house.put(CONANFILE, b"recipe")
    assert house.listing() == []


# -------------------------------------------------------------------------------------- upkeep


def test_check_tells_of_rows_that_contradict_each_other(house) -> None:
    """Files without content and releases that are not whole are problems."""
    house.recipe("r1")
    house.recipe("r2")
    catalog = house.registry._services.catalog
    manifest = "zlib/1.3/_/_/r1/export/conanmanifest.txt"
    f = tables.files
    catalog.write(lambda t: t.execute(f.delete().where(f.c.path == manifest)))
    gone = update(f).where(f.c.path == CONANFILE.replace("r1", "r2")).values(digest="0" * 64)
    catalog.write(lambda t: t.execute(gone))
    problems = "\n".join(house.admin.upkeep.check().problems)
    assert "names content that the catalog does not know" in problems
    assert f"{PARTITION}#r1 is listed but not whole" in problems


def test_check_lists_so_many_problems(house, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first are told, the others counted."""
    monkeypatch.setattr(checking, "_LISTED", 2)
    for number in range(5):
        house.recipe(f"r{number}")
    for key in list(house.registry.storage.keys()):
        house.registry.storage.delete(key)
    problems = house.admin.upkeep.check().problems
    assert len(problems) == 3
    assert "more" in problems[-1]


def test_check_reads_what_cannot_be_read(house, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that fails on reading is a problem of that object."""
    house.recipe("r1")

    class Failing:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> object:
            raise StorageError

    services = house.registry._services
    real = services.storage
    monkeypatch.setattr(services, "storage", Failing())
    problems = house.admin.upkeep.check(read_data=True).problems
    assert len(problems) == 2
    assert all("cannot be read" in problem for problem in problems)


def test_export_copies_where_it_cannot_link(
    house, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another disk, or one without hard links, gets copies."""

    def no_link(*_arguments: object, **_options: object) -> None:
        raise OSError(18, "another disk")

    house.recipe("r1")
    monkeypatch.setattr(exporting.os, "link", no_link)
    house.admin.upkeep.export("conan/main", tmp_path / "out")
    copied = tmp_path / "out" / CONANFILE
    assert copied.read_bytes() == b"recipe r1"
    assert copied.stat().st_nlink == 1


def test_drafts_of_a_repository_that_just_went(house, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection that knows a repository no more leaves its drafts to the deletion."""
    house.put(CONANFILE, b"never finished")
    book = house.registry._services.book
    known = book.known
    monkeypatch.setattr(book, "at", lambda _version: True)
    book.known = attrs.evolve(known, repositories={})
    assert auditing._expire(house.registry._services, timedelta(0)) == 0


def test_counts_that_cannot_be_written_are_kept(
    house, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Downloads are counted once the catalog works again."""
    house.recipe("r1")
    services = house.registry._services

    def broken(_work: object, *_rest: object) -> None:
        raise StorageError

    house.admin.files.open("conan/main", CONANFILE).close()
    with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL):
        patch.setattr(services.catalog, "write", broken)
        services.counter.flush()
    house.admin.files.open("conan/main", CONANFILE).close()
    [(_, _, count, _)] = house.admin.upkeep.downloads("conan/main")
    assert count == 2


# --------------------------------------------------------------------------------------- relay


def test_relay_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """A task that raises is told to the log, and the next one runs; closing twice is closing."""
    ran = threading.Event()

    def fails() -> None:
        raise RuntimeError("oh")

    relay = Relay((fails, ran.set), 60.0)
    with caplog.at_level(logging.CRITICAL):
        for _ in range(2):
            relay.wake()
        assert ran.wait(30)
        relay.close()
        relay.close()
    relay.start()
    assert relay._ended


def test_rules_name_actions() -> None:
    """A rule without an action says nothing."""
    with pytest.raises(RejectedError, match="at least one action"):
        Rule(subject="*", actions=frozenset(), pattern="**")


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("**", Resource(), True),
        ("conan/**", Resource(), False),
        ("conan/**", Resource("conan"), True),
        ("conan/main", Resource("conan"), False),
    ],
)
def test_rule_of_what_is_above_repositories(
    pattern: str, resource: Resource, *, matches: bool
) -> None:
    """The site and a whole format are resources too."""
    assert Pattern.compile(pattern).matches(resource) is matches
