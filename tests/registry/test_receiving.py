"""Files that clients send to the storage themselves: who may, and what becomes of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import attrs
import pytest
from direct_uploads import ReceivingMemory, digest_of
from tests_manifest import manifest

import repocore
from repocore import Policy, hookimpl
from repocore.config import LimitSettings, Settings
from repocore.errors import (
    AccessDeniedError,
    ChecksumMismatchError,
    ConflictError,
    InvalidPathError,
    MissingError,
    NotAuthenticatedError,
    QuotaExceededError,
    ReadOnlyError,
    RejectedError,
    RepositoryMissingError,
    StorageError,
    TooLargeError,
    TruncatedError,
    UploadRejectedError,
)
from repocore.model import Digest

MAIN = "conan/main"
PATH = "zlib/1.3/_/_/r1/export/conanfile.py"
CONTENT = b"from conan import ConanFile\n"
SUM = Digest("sha256", digest_of(CONTENT))


class Bay:
    """The storage of a registry, and a veto where it is wanted."""

    def __init__(self) -> None:
        self.storage = ReceivingMemory()
        self.veto = False

    @hookimpl
    def repocore_storage(self) -> ReceivingMemory:
        return self.storage

    @hookimpl
    def repocore_validate(self) -> None:
        if self.veto:
            raise UploadRejectedError("The harbour is closed.")


@attrs.frozen
class House:
    registry: repocore.Registry
    bay: Bay

    @property
    def admin(self) -> repocore.Session:
        return self.registry.session(self.registry.admin())

    @property
    def storage(self) -> ReceivingMemory:
        return self.bay.storage

    def as_(self, name: str | None) -> repocore.Session:
        return self.registry.session(repocore.Principal(name=name, via="test"))

    def begun(self, session: repocore.Session, content: bytes = CONTENT, **more) -> str:
        """An upload of which all has arrived."""
        size = more.pop("size", len(CONTENT))
        upload = session.uploads.begin(MAIN, PATH, size=size, digest=SUM)
        self.storage.arrive(upload.id, content)
        return upload.id


@pytest.fixture
def settings(tmp_path, database_url) -> Settings:
    return Settings(data=tmp_path, catalog=database_url, limits=LimitSettings(max_body=1000))


@pytest.fixture
def house(settings) -> Iterator[House]:
    bay = Bay()
    with repocore.open_registry(settings=settings, plugins=[bay]) as registry:
        house = House(registry, bay)
        house.admin.repositories.create(MAIN)
        for name in ("ann", "bob"):
            house.admin.accounts.add_rule(
                repocore.Rule(
                    subject=f"user:{name}",
                    actions=repocore.actions_of(["read", "write"]),
                    pattern=f"{MAIN}/**",
                )
            )
        yield house


def nothing_is_there(house: House) -> bool:
    """No file, no draft, no blob, no upload."""
    house.admin.upkeep.collect(grace=timedelta(0))
    return not house.storage.objects and not house.storage.arriving


# ---------------------------------------------------------------------------------------- begin


def test_it_is_asked_for_permission_before_anything_is_signed(house):
    """As if the file were sent to the server."""
    words = {"size": len(CONTENT), "digest": SUM}
    with pytest.raises(NotAuthenticatedError):
        house.as_(None).uploads.begin(MAIN, PATH, **words)
    with pytest.raises(AccessDeniedError):
        house.as_("eve").uploads.begin(MAIN, PATH, **words)
    with pytest.raises(AccessDeniedError):
        house.as_("eve").uploads.begin("conan/other", PATH, **words)
    with pytest.raises(RepositoryMissingError):
        house.admin.uploads.begin("conan/other", PATH, **words)
    with pytest.raises(InvalidPathError):
        house.as_("ann").uploads.begin(MAIN, "../etc", **words)
    assert house.storage.arriving == {}


def test_strangers_cannot_even_where_they_may_write(house):
    """An upload is its account's, and they have none."""
    house.admin.accounts.add_rule(
        repocore.Rule(subject="*", actions=repocore.actions_of(["write"]), pattern="**")
    )
    stranger = house.as_(None)
    with pytest.raises(NotAuthenticatedError):
        stranger.uploads.begin(MAIN, PATH, size=9, digest=SUM)
    with pytest.raises(NotAuthenticatedError):
        stranger.uploads.complete(MAIN, PATH, "x")
    with pytest.raises(NotAuthenticatedError):
        stranger.uploads.forget("x")


def test_limits_and_quotas_are_asked_before_anything_is_signed(house):
    """The length is announced; it is a part of what is signed."""
    ann = house.as_("ann")
    with pytest.raises(TooLargeError):
        ann.uploads.begin(MAIN, PATH, size=1001, digest=SUM)
    house.admin.repositories.configure(MAIN, policy=Policy(quota=100))
    with pytest.raises(QuotaExceededError):
        ann.uploads.begin(MAIN, PATH, size=101, digest=SUM)
    house.admin.repositories.configure(MAIN, policy=Policy(max_size=50))
    with pytest.raises(TooLargeError):
        ann.uploads.begin(MAIN, PATH, size=51, digest=SUM)
    assert house.storage.arriving == {}
    assert len(ann.uploads.begin(MAIN, PATH, size=50, digest=SUM).parts) == 1


def test_not_everything_is_taken_directly(house):
    """Small files, other digests, storages that do not: these go the plain way."""
    ann = house.as_("ann")
    assert ann.uploads.smallest == 3
    for words in ({"size": 2, "digest": SUM}, {"size": 9, "digest": Digest("md5", "0" * 32)}):
        with pytest.raises(RejectedError, match="its own address"):
            ann.uploads.begin(MAIN, PATH, **words)
    house.storage.smallest = None
    assert ann.uploads.smallest is None
    with pytest.raises(RejectedError, match="its own address"):
        ann.uploads.begin(MAIN, PATH, size=9, digest=SUM)
    with pytest.raises(RejectedError, match="its own address"):
        ann.uploads.complete(MAIN, PATH, "x")
    with pytest.raises(MissingError):
        ann.uploads.forget("x")


def test_a_storage_of_files_takes_none(settings):
    """It has no address of its own."""
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        assert session.uploads.smallest is None
        with pytest.raises(MissingError):
            session.uploads.forget("x")


def test_read_only(settings):
    """Nothing is signed, completed or deleted."""
    bay = Bay()
    with repocore.open_registry(settings=settings, plugins=[bay]) as registry:
        registry.session(registry.admin()).repositories.create(MAIN)
    bay = Bay()
    sealed = attrs.evolve(settings, read_only=True)
    with repocore.open_registry(settings=sealed, plugins=[bay]) as registry:
        uploads = registry.session(registry.admin()).uploads
        assert uploads.smallest is None
        for change in (
            lambda: uploads.begin(MAIN, PATH, size=9, digest=SUM),
            lambda: uploads.complete(MAIN, PATH, "x"),
            lambda: uploads.forget("x"),
        ):
            with pytest.raises(ReadOnlyError):
                change()
    assert bay.storage.arriving == {}


# ------------------------------------------------------------------------------------- complete


def test_what_arrived_becomes_a_file(house):
    """The storage takes it over; nobody sends the bytes again, and nothing of the way is left."""
    ann = house.as_("ann")
    upload = house.begun(ann)
    file = ann.uploads.complete(MAIN, PATH, upload)
    assert (file.digest, file.size, str(file.path)) == (SUM.hex, len(CONTENT), PATH)
    assert house.storage.linked == 1
    assert house.storage.arriving == {}
    assert house.admin.upkeep.check(read_data=True).ok


@pytest.mark.parametrize(
    ("content", "error"),
    [(CONTENT[:-1] + b"?", ChecksumMismatchError), (CONTENT[:-1], TruncatedError)],
)
def test_other_bytes_are_refused(house, content, error):
    """Than those that were announced at the begin: nothing is visible, and nothing is left."""
    ann = house.as_("ann")
    upload = house.begun(ann, content)
    with pytest.raises(error):
        ann.uploads.complete(MAIN, PATH, upload)
    assert nothing_is_there(house)


def test_the_digest_of_the_request_counts_as_well(house):
    """As with every upload."""
    ann = house.as_("ann")
    upload = house.begun(ann)
    with pytest.raises(ChecksumMismatchError):
        ann.uploads.complete(MAIN, PATH, upload, announced=[Digest("md5", "0" * 32)])
    assert nothing_is_there(house)


def test_a_veto_deletes_what_arrived(house):
    """The plugins look into it as into every body."""
    ann = house.as_("ann")
    upload = house.begun(ann)
    house.bay.veto = True
    with pytest.raises(UploadRejectedError, match="harbour"):
        ann.uploads.complete(MAIN, PATH, upload)
    assert nothing_is_there(house)


def test_a_quota_that_is_used_meanwhile_deletes_what_arrived(house):
    """The commit counts exactly."""
    ann = house.as_("ann")
    upload = house.begun(ann)
    house.admin.repositories.configure(MAIN, policy=Policy(quota=len(CONTENT) - 1))
    with pytest.raises(QuotaExceededError):
        ann.uploads.complete(MAIN, PATH, upload)
    assert nothing_is_there(house)


def test_while_parts_are_missing_nothing_is_lost(house):
    """They can still be sent."""
    ann = house.as_("ann")
    upload = ann.uploads.begin(MAIN, PATH, size=len(CONTENT), digest=SUM)
    with pytest.raises(TruncatedError):
        ann.uploads.complete(MAIN, PATH, upload.id)
    assert ann.uploads.begin(MAIN, PATH, size=len(CONTENT), digest=SUM).id == upload.id
    house.storage.arrive(upload.id, CONTENT)
    assert ann.uploads.begin(MAIN, PATH, size=len(CONTENT), digest=SUM).parts == ()
    ann.uploads.complete(MAIN, PATH, upload.id)


def test_anothers_upload_is_unknown(house):
    """In the same words as one that never was; permission is asked first."""
    upload = house.begun(house.as_("ann"))
    told = []
    for id_ in (upload, "never"):
        with pytest.raises(MissingError) as found:
            house.as_("bob").uploads.complete(MAIN, PATH, id_)
        told.append(str(found.value))
        with pytest.raises(MissingError):
            house.as_("bob").uploads.forget(id_)
    assert told[0] == told[1]
    with pytest.raises(AccessDeniedError):
        house.as_("eve").uploads.complete(MAIN, PATH, upload)
    # An account that is called like the application itself is not it.
    inside = house.begun(house.admin)
    with pytest.raises(MissingError):
        house.as_("bob").uploads.forget(inside)
    house.as_("ann").uploads.forget(upload)
    house.admin.uploads.forget(inside)
    assert house.storage.arriving == {}


def test_the_same_request_again_finds_it_completed(house):
    """An answer may be lost: who knows the digest, and may read, is told the file."""
    ann = house.as_("ann")
    upload = house.begun(ann)
    whole = f"{PATH.rpartition('/')[0]}/conanmanifest.txt"

    first = ann.uploads.complete(MAIN, PATH, upload, announced=[SUM])
    house.admin.files.put(MAIN, whole, io.BytesIO(manifest("conanfile.py")))
    again = ann.uploads.complete(MAIN, PATH, upload, announced=[SUM])
    assert (again.digest, again.path) == (first.digest, first.path)
    for announced in ([], [Digest("sha256", "0" * 64)]):
        with pytest.raises(MissingError):
            ann.uploads.complete(MAIN, PATH, upload, announced=announced)


def test_without_overwrite_others_bytes_stay(house):
    """And what arrived goes."""

    ann = house.as_("ann")
    ann.files.put(MAIN, PATH, io.BytesIO(b"other"))
    whole = f"{PATH.rpartition('/')[0]}/conanmanifest.txt"
    ann.files.put(MAIN, whole, io.BytesIO(manifest("conanfile.py")))
    upload = house.begun(ann)
    with pytest.raises(ConflictError):
        ann.uploads.complete(MAIN, PATH, upload, overwrite=False)
    assert house.storage.arriving == {}
    assert ann.files.open(MAIN, PATH).read() == b"other"


def test_many_that_complete_at_once_make_one_file(house):
    """All of them are told the same, however they meet."""
    ann = house.as_("ann")
    for _ in range(5):
        upload = house.begun(ann)

        def complete(_: int, upload: str = upload) -> str:
            try:
                return house.as_("ann").uploads.complete(MAIN, PATH, upload).digest
            except MissingError:
                return "late"  # a draft may not be read: it cannot be told

        with ThreadPoolExecutor(4) as pool:
            told = set(pool.map(complete, range(4)))
        assert told <= {SUM.hex, "late"}
        assert SUM.hex in told
    assert house.storage.arriving == {}
    assert len(house.storage.objects) == 1
    assert house.admin.upkeep.check(read_data=True).ok


@pytest.mark.parametrize("step", ["received", "staged", "reserved", "stored", "committed"])
def test_a_server_that_dies_between_leaves_nothing_half(house, monkeypatch, step):
    """Another goes on with what arrived, and the file is the same."""

    class Death(BaseException):
        """As of a process: nothing is cleaned up by what it passes."""

    services = house.registry._services
    usual: Callable[[str], None] = services.step

    def die(name: str) -> None:
        if name == step:
            raise Death

    ann = house.as_("ann")
    upload = house.begun(ann)
    services.step = die
    with pytest.raises(Death):
        ann.uploads.complete(MAIN, PATH, upload)
    services.step = usual
    assert upload in house.storage.arriving
    assert house.begun(ann) == upload
    assert ann.uploads.complete(MAIN, PATH, upload).digest == SUM.hex
    assert house.storage.arriving == {}
    assert house.admin.upkeep.check(read_data=True).ok


def test_what_cannot_be_deleted_is_the_sweeps(house):
    """The file is there; who uploaded it is told so."""
    ann = house.as_("ann")
    upload = house.begun(ann)
    house.storage.failing = True
    assert ann.uploads.complete(MAIN, PATH, upload).digest == SUM.hex
    with pytest.raises(StorageError):
        ann.uploads.forget(upload)


def test_it_is_recorded_as_every_upload(house):
    """The last file makes the release visible, and the record says who sent it."""
    ann = house.as_("ann")
    ann.uploads.complete(MAIN, PATH, house.begun(ann))
    last = PATH.replace("conanfile.py", "conanmanifest.txt")
    content = manifest("conanfile.py")
    digest = Digest("sha256", digest_of(content))
    upload = ann.uploads.begin(MAIN, last, size=len(content), digest=digest)
    house.storage.arrive(upload.id, content)
    ann.uploads.complete(MAIN, last, upload.id)
    record = house.admin.audit.list(limit=1)[0]
    assert (record.kind, record.origin.who, record.origin.via) == ("release.added", "ann", "test")
    assert [one.name for one in ann.releases.list(MAIN, "zlib/1.3@_/_")] == ["r1"]
