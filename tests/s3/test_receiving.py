"""Bodies that clients send to the store themselves: in parts, by signed URLs."""

from __future__ import annotations

import os
import tracemalloc
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from botocore import auth
from direct_uploads import ANN, BOB, digest_of, send, send_all
from s3_faults import Fault, rapids
from s3_stores import PART

from repocore.errors import MissingError, RejectedError, StorageError, TruncatedError
from repocore.ports import ReceivingStorage
from repocore_s3 import receiving
from repocore_s3.settings import Checksums, S3Settings
from repocore_s3.storage import S3Storage

CONTENT = os.urandom(2 * PART + 5)


@pytest.fixture
def corner(store):
    return store.place(direct_uploads=True)


@pytest.fixture
def storage(corner):
    return corner.storage()


def test_off_by_default(store):
    """Who runs the server decides that clients reach the store."""
    storage = store.storage()
    assert isinstance(storage, ReceivingStorage)
    assert storage.receives() is None
    assert store.storage(direct_uploads=True).receives() == S3Settings().direct_smallest


def test_a_body_in_parts(corner, storage):
    """Nothing is an object, nor a blob, before the server asks for it; then it is read whole."""
    upload = storage.begin(ANN, digest_of(CONTENT), len(CONTENT))
    assert [(one.start, one.stop) for one in upload.parts] == [
        (0, PART),
        (PART, 2 * PART),
        (2 * PART, len(CONTENT)),
    ]
    for part in reversed(upload.parts):
        assert send(part, CONTENT[part.start : part.stop]) == 200
    assert corner.names() == []
    received = storage.receive(ANN, upload.id)
    with received.content as stream:
        assert stream.read() == CONTENT
    assert (received.size, received.digest) == (len(CONTENT), digest_of(CONTENT))
    assert list(storage.keys()) == []
    with storage.receive(ANN, upload.id).content as stream:  # idempotent
        assert stream.read(4) == CONTENT[:4]
    assert storage.forget(ANN, upload.id)
    assert corner.names() == []
    assert not storage.forget(ANN, upload.id)


def test_one_small_part(storage):
    """Also what is less than S3 takes in a part that is not the last."""
    upload = send_all(storage, b"tide")
    with storage.receive(ANN, upload).content as stream:
        assert stream.read() == b"tide"
    with pytest.raises(RejectedError, match="nothing in it"):
        storage.begin(ANN, digest_of(b""), 0)


def test_who_was_cut_off_goes_on(corner, storage):
    """The same words find the upload, on any server, with the parts that are missing."""
    first = storage.begin(ANN, digest_of(CONTENT), len(CONTENT))
    send(first.parts[1], CONTENT[PART : 2 * PART])
    again = corner.storage().begin(ANN, digest_of(CONTENT), len(CONTENT))
    assert again.id == first.id
    assert [one.start for one in again.parts] == [0, 2 * PART]
    send_all(storage, CONTENT)
    storage.receive(ANN, first.id).content.close()
    made = storage.begin(ANN, digest_of(CONTENT), len(CONTENT))
    assert (made.id, made.parts) == (first.id, ())
    other = storage.begin(BOB, digest_of(CONTENT), len(CONTENT))
    assert other.id != first.id
    assert len(other.parts) == 3


def test_parts_keep_their_size_when_the_setting_changes(corner, storage):
    """An upload is finished as it was begun."""
    first = storage.begin(ANN, digest_of(CONTENT), len(CONTENT))
    send(first.parts[0], CONTENT[:PART])
    other = attrs.evolve(corner, settings=attrs.evolve(corner.settings, part_size=2 * PART))
    assert [one.start for one in other.storage().begin(ANN, *known()).parts] == [PART, 2 * PART]


def known() -> tuple[str, int]:
    return digest_of(CONTENT), len(CONTENT)


def test_only_some_parts_are_signed_at_once(storage, monkeypatch):
    """Whoever has sent them begins again for the next."""
    monkeypatch.setattr(receiving, "_AT_ONCE", 2)
    monkeypatch.setattr(receiving._lacking, "__kwdefaults__", {"most": 2})
    assert len(storage.begin(ANN, *known()).parts) == 2
    with storage.receive(ANN, send_all(storage, CONTENT)).content as stream:
        assert stream.read() == CONTENT


def test_missing_and_short_parts_are_told(storage):
    """What came is kept, and the rest can still be sent; the last that is sent of a part counts."""
    upload = storage.begin(ANN, *known())
    for _ in range(2):
        with pytest.raises(TruncatedError, match=f"{len(CONTENT)} of {len(CONTENT)} bytes"):
            storage.receive(ANN, upload.id)
    send(upload.parts[0], CONTENT[:PART])
    with pytest.raises(TruncatedError, match=f"{PART + 5} of"):
        storage.receive(ANN, upload.id)
    with storage.receive(ANN, send_all(storage, CONTENT)).content as stream:
        assert stream.read() == CONTENT


def test_an_upload_is_its_owners(storage):
    """To others it is unknown, as is what is no id at all, or one of nothing."""
    upload = send_all(storage, CONTENT)
    nobody = f"{'0' * 64}-1-1-{'0' * 32}"
    for owner, id_ in [(BOB, upload), (ANN, nobody), (ANN, "../x"), (ANN, ""), (ANN, upload[:-1])]:
        with pytest.raises(MissingError, match="begin anew"):
            storage.receive(owner, id_)
        assert not storage.forget(owner, id_)
    with pytest.raises(ValueError, match="digest"):
        storage.begin("..", *known())
    storage.receive(ANN, upload).content.close()


def test_unfinished_uploads_have_a_bound(store):
    """Per owner; one that goes on is not one more."""
    storage = store.storage(direct_uploads=True, direct_unfinished=2)
    for content in (b"ebb", b"tide", b"tide"):
        storage.begin(ANN, digest_of(content), len(content))
    with pytest.raises(RejectedError, match="2 files already"):
        storage.begin(ANN, digest_of(b"bay"), 3)
    assert storage.begin(BOB, digest_of(b"bay"), 3).parts
    storage.forget(ANN, storage.begin(ANN, digest_of(b"ebb"), 3).id)
    assert storage.begin(ANN, digest_of(b"bay"), 3).parts


def test_a_sweep_takes_what_nobody_completed(corner, storage):
    """Parts, and objects whose server died."""
    unfinished = storage.begin(ANN, *known())
    send(unfinished.parts[0], CONTENT[:PART])
    made = send_all(storage, b"tide")
    storage.receive(ANN, made).content.close()
    assert storage.sweep(timedelta(seconds=-60)) == 2
    assert corner.names() == []
    for id_ in (unfinished.id, made):
        with pytest.raises(MissingError):
            storage.receive(ANN, id_)


def test_two_that_complete_at_once(moto):
    """The slower finds the object made, whichever request it was that it lost."""
    with rapids(moto.settings.endpoint) as way:
        corner = moto.place(direct_uploads=True, endpoint=way.address, retries=1)
        storage = corner.storage()
        upload = send_all(storage, b"tide")
        way.faults.append(Fault("POST", "uploadId", lose=True))
        with storage.receive(ANN, upload).content as stream:
            assert stream.read() == b"tide"


def test_urls_are_for_the_public_end_point(moto):
    """The server itself goes where it always goes."""
    with rapids(moto.settings.endpoint) as outside:
        storage = moto.storage(
            direct_uploads=True,
            public_endpoint=outside.address,
            direct_lifetime=timedelta(minutes=3),
        )
        before = datetime.now(UTC)
        upload = storage.begin(ANN, *known())
        assert outside.exchanges == []
        assert all(part.url.startswith(outside.address) for part in upload.parts)
        query = parse_qs(urlsplit(upload.parts[0].url).query)
        assert query["X-Amz-Expires"] == ["180"]
        assert before < upload.expires <= datetime.now(UTC) + timedelta(minutes=3)
        # Nobody sends more than was announced.
        assert "content-length" in query["X-Amz-SignedHeaders"][0].split(";")


def test_urls_are_no_longer_than_a_week(moto):
    """As S3 has it."""
    storage = moto.storage(direct_uploads=True, direct_lifetime=timedelta(days=30))
    query = parse_qs(urlsplit(storage.begin(ANN, *known()).parts[0].url).query)
    assert query["X-Amz-Expires"] == ["604800"]


def test_clients_need_no_newer_checksums(store):
    """Also where the server's own requests carry them."""
    storage = store.storage(direct_uploads=True, checksums=Checksums.WHEN_SUPPORTED)
    with storage.receive(ANN, send_all(storage, CONTENT)).content as stream:
        assert stream.read() == CONTENT


def test_reading_back_takes_no_memory_of_its_size(storage):
    """However large it is."""
    upload = send_all(storage, bytes(5 * PART))
    tracemalloc.start()
    try:
        with storage.receive(ANN, upload).content as stream:
            while stream.read(1 << 16):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < PART


@pytest.mark.s3_real
def test_a_sweep_leaves_the_young(real_store):
    """Those are on their way."""
    storage = real_store.storage(direct_uploads=True)
    upload = storage.begin(ANN, *known())
    made = send_all(storage, b"tide")
    storage.receive(ANN, made).content.close()
    assert storage.sweep(timedelta(hours=1)) == 0
    assert storage.forget(ANN, upload.id)
    assert storage.forget(ANN, made)


@pytest.mark.s3_real
def test_signed_urls_take_one_part_and_end(real_store, monkeypatch):
    """More bytes, fewer, other ones than their MD5, another part or a later time: refused."""
    storage = real_store.storage(direct_uploads=True)
    upload = storage.begin(ANN, *known())
    first, second, last = upload.parts
    longer = CONTENT[: PART + 1]
    assert send(first, longer, **{"Content-Length": str(len(longer))}) == 403
    assert send(first, b"ebb", **{"Content-Length": "3"}) == 403
    assert send(first, CONTENT[:PART], **{"Content-MD5": "A" * 22 + "=="}) == 400
    moved = attrs.evolve(first, url=first.url.replace("partNumber=1", "partNumber=2"))
    assert send(moved, CONTENT[:PART]) == 403
    elsewhere = attrs.evolve(first, url=first.url.replace("uploads/", "sha256/"))
    assert send(elsewhere, CONTENT[:PART]) == 403
    made = auth.get_current_datetime
    [begun] = storage._bucket.uploads(f"uploads/{ANN}/")
    with monkeypatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: made() - timedelta(days=1))
        url = storage._bucket.part_url(begun, 1, PART, 3600)
    assert send(attrs.evolve(first, url=url), CONTENT[:PART]) == 403
    for part in (first, second, last):
        assert send(part, CONTENT[part.start : part.stop]) == 200
    storage.receive(ANN, upload.id).content.close()
    # What the server reads is what nobody changes any more: the part is refused, or the object is.
    late = send(first, bytes(PART))
    if late == 404:
        assert read(storage, upload.id) == CONTENT
    else:
        with pytest.raises(StorageError):
            read(storage, upload.id)


def read(storage: S3Storage, upload: str) -> bytes:
    with storage.receive(ANN, upload).content as stream:
        return stream.read()
