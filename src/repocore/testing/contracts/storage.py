"""What every storage must do: the contract of `repocore.ports.Storage`, as tests.

    TestHarbor = storage_contract(lambda: open_harbor("scratch"))

The argument makes a context manager around a new, empty storage.  The answer is a class for pytest,
made afresh by each call.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any, Final

from hypothesis import given, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from repocore.errors import BlobMissingError
from repocore.model import BlobKey
from repocore.ports import BlobWriter, Storage

__all__ = [
    "MakeStorage",
    "abort_after_commit",
    "abort_forgets",
    "any_chunks",
    "any_objects",
    "any_part",
    "commit_twice",
    "commit_under_another_key",
    "delete_missing",
    "delete_object",
    "empty_object",
    "generations_are_apart",
    "large_object",
    "location_is_below_the_root",
    "missing_object",
    "new_storage_is_empty",
    "nothing_before_commit",
    "readers_side_by_side",
    "reading_before_commit",
    "reading_in_pieces",
    "storage_contract",
    "stored_object",
    "sweep_leaves_the_young",
    "sweep_takes_what_was_left",
    "threads_side_by_side",
    "two_writers_of_one_key",
    "url_is_absolute",
    "writers_side_by_side",
]

MakeStorage = Callable[[], AbstractContextManager[Storage]]
_Check = Callable[..., None]

_LONG_AGO: Final = timedelta(days=1)
_CONTENT: Final = b"tide and harbour"

_contents = st.binary(max_size=200)
_positions = st.integers(min_value=0, max_value=210)


def storage_contract(make_storage: MakeStorage) -> type:
    """A class of tests for the storages that ``make_storage()`` opens; it is to be named Test…."""
    tests: dict[str, Any] = {}
    for check in _EXAMPLES:
        tests[f"test_{check.__name__}"] = _example(make_storage, check)
    for check, arguments in _PROPERTIES:
        tests[f"test_{check.__name__}"] = given(**arguments)(_example(make_storage, check))
    tests["test_any_order_of_calls"] = _machine_test(make_storage)
    tests["__doc__"] = storage_contract.__doc__
    return type("StorageContract", (), tests)


def _example(make_storage: MakeStorage, check: _Check) -> Callable[..., None]:
    def test(self: object, **arguments: Any) -> None:  # noqa: ARG001 - pytest's self
        with make_storage() as storage:
            check(storage, **arguments)

    test.__doc__ = check.__doc__
    test.__name__ = f"test_{check.__name__}"
    return test


def _machine_test(make_storage: MakeStorage) -> Callable[[object], None]:
    def test(self: object) -> None:  # noqa: ARG001 - pytest's self
        """Whatever is called in whatever order, the storage answers as a dict would."""
        # Any callable without arguments will do, says Hypothesis; its annotation wants a class.
        machine: Any = partial(_StorageMachine, make_storage)
        run_state_machine_as_test(machine, settings=settings(stateful_step_count=20))

    return test


# ----------------------------------------------------------------------------------- in words


def _key(content: bytes = _CONTENT) -> BlobKey:
    return BlobKey.make(hashlib.sha256(content).hexdigest())


def _stored(storage: Storage, content: bytes = _CONTENT) -> BlobKey:
    key = _key(content)
    writer = storage.writer(len(content))
    writer.write(content)
    writer.commit(key)
    return key


def _read(storage: Storage, key: BlobKey, start: int = 0, stop: int | None = None) -> bytes:
    with storage.open(key, start, stop) as stream:
        return stream.read()


def _assert_missing(storage: Storage, key: BlobKey) -> None:
    assert storage.size(key) is None, "what is missing has no size"
    assert key not in set(storage.keys()), "what is missing is not listed"
    try:
        stream = storage.open(key)
    except BlobMissingError:
        return
    stream.close()
    raise AssertionError("open must raise BlobMissingError at once")


def _assert_holds(storage: Storage, key: BlobKey, content: bytes = _CONTENT) -> None:
    assert storage.size(key) == len(content), "the size is that of the content"
    assert _read(storage, key) == content, "the bytes are those that were written"
    assert key in set(storage.keys()), "what is there is listed"


# ---------------------------------------------------------------------------------- examples


def new_storage_is_empty(storage: Storage) -> None:
    """A new storage has no objects."""
    assert list(storage.keys()) == []


def missing_object(storage: Storage) -> None:
    """What was never stored has no size, and opening it raises at once."""
    _assert_missing(storage, _key())


def stored_object(storage: Storage) -> None:
    """What was committed is read back, has its size, and is listed."""
    _assert_holds(storage, _stored(storage))


def empty_object(storage: Storage) -> None:
    """A body without bytes is an object like any other."""
    _assert_holds(storage, _stored(storage, b""), b"")


def large_object(storage: Storage) -> None:
    """Three mebibytes in one chunk come back whole, and in parts."""
    content = bytes(range(256)) * (3 << 12)
    key = _stored(storage, content)
    _assert_holds(storage, key, content)
    assert _read(storage, key, 1 << 20, (2 << 20) + 7) == content[1 << 20 : (2 << 20) + 7]


def nothing_before_commit(storage: Storage) -> None:
    """Nobody sees a body before it is committed, not even in the list of keys."""
    writer = storage.writer()
    writer.write(_CONTENT)
    _assert_missing(storage, _key())
    assert list(storage.keys()) == [], "an unfinished body is not an object"
    writer.abort()


def reading_before_commit(storage: Storage) -> None:
    """The writer reads what was written so far, from its start, and goes on."""
    writer = storage.writer()
    writer.write(b"tide ")
    with writer.open() as stream:
        assert stream.read() == b"tide ", "so far, from the start"
    writer.write(b"and harbour")
    for _ in range(2):
        with writer.open() as stream:
            assert stream.read() == _CONTENT, "every reader begins at the start"
    key = _key()
    writer.commit(key)
    _assert_holds(storage, key)


def commit_twice(storage: Storage) -> None:
    """Committing again under the same key changes nothing."""
    key = _key()
    writer = storage.writer()
    writer.write(_CONTENT)
    writer.commit(key)
    writer.commit(key)
    _assert_holds(storage, key)
    assert list(storage.keys()) == [key]


def commit_under_another_key(storage: Storage) -> None:
    """A body whose first object was deleted can become another object."""
    first, second = _key(), _key()
    writer = storage.writer()
    writer.write(_CONTENT)
    writer.commit(first)
    writer.commit(second)
    _assert_holds(storage, first)
    _assert_holds(storage, second)


def two_writers_of_one_key(storage: Storage) -> None:
    """Two writers may commit the same bytes under the same key."""
    key = _key()
    writers = [storage.writer(), storage.writer()]
    for writer in writers:
        writer.write(_CONTENT)
    for writer in writers:
        writer.commit(key)
        _assert_holds(storage, key)
    assert list(storage.keys()) == [key]


def writers_side_by_side(storage: Storage) -> None:
    """Bodies that arrive at the same time do not mix."""
    contents = [bytes([number]) * 3 for number in range(4)]
    writers = [storage.writer() for _ in contents]
    for position in range(3):
        for writer, content in zip(writers, contents, strict=True):
            writer.write(content[position : position + 1])
    for writer, content in zip(writers, contents, strict=True):
        key = _key(content)
        writer.commit(key)
        _assert_holds(storage, key, content)


def abort_forgets(storage: Storage) -> None:
    """An aborted body leaves nothing, and may be aborted again."""
    writer = storage.writer()
    writer.write(_CONTENT)
    writer.abort()
    writer.abort()
    assert list(storage.keys()) == []
    assert storage.sweep(timedelta(0)) == 0, "an aborted body leaves nothing to sweep"


def abort_after_commit(storage: Storage) -> None:
    """Aborting what was committed does nothing."""
    key = _key()
    writer = storage.writer()
    writer.write(_CONTENT)
    writer.commit(key)
    writer.abort()
    _assert_holds(storage, key)


def delete_object(storage: Storage) -> None:
    """A deleted object is gone, and deleting is idempotent."""
    key = _stored(storage)
    for _ in range(2):
        storage.delete(key)
        _assert_missing(storage, key)


def delete_missing(storage: Storage) -> None:
    """Deleting what never was there is no error."""
    storage.delete(_key())


def generations_are_apart(storage: Storage) -> None:
    """Two writings of the same bytes are two objects: deleting one leaves the other."""
    first, second = _stored(storage), _stored(storage)
    storage.delete(first)
    _assert_missing(storage, first)
    _assert_holds(storage, second)


def readers_side_by_side(storage: Storage) -> None:
    """Each reader of an object has a position of its own."""
    key = _stored(storage)
    with storage.open(key) as one, storage.open(key) as other:
        assert one.read(4) == _CONTENT[:4]
        assert other.read() == _CONTENT
        assert one.read() == _CONTENT[4:]


def reading_in_pieces(storage: Storage) -> None:
    """A part is read piece by piece to its end, and then there is nothing more."""
    key = _stored(storage)
    with storage.open(key, 2, 13) as stream:
        pieces = [stream.read(4) for _ in range(5)]
    assert pieces == [b"de a", b"nd h", b"arb", b"", b""]


def threads_side_by_side(storage: Storage) -> None:
    """Eight threads store and read forty objects."""
    contents = [f"harbour {number}".encode() * 50 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(partial(_stored, storage), contents))
        read = list(pool.map(partial(_read, storage), keys))
    assert read == contents
    assert set(storage.keys()) == set(keys)


def sweep_takes_what_was_left(storage: Storage) -> None:
    """Sweeping deletes unfinished bodies of that age, and no object."""
    key = _stored(storage)
    left = [storage.writer() for _ in range(2)]
    for writer in left:
        writer.write(_CONTENT)
    assert storage.sweep(_LONG_AGO) == 0, "they are younger"
    storage.sweep(timedelta(0))
    assert storage.sweep(timedelta(0)) == 0, "there is nothing left"
    assert list(storage.keys()) == [key]
    _assert_holds(storage, key)
    for writer in left:
        writer.abort()


def sweep_leaves_the_young(storage: Storage) -> None:
    """A body that is still young survives a sweep and is committed."""
    writer = storage.writer()
    writer.write(_CONTENT)
    storage.sweep(_LONG_AGO)
    key = _key()
    writer.commit(key)
    _assert_holds(storage, key)


def location_is_below_the_root(storage: Storage) -> None:
    """A location is relative and leads nowhere else; None is an answer too."""
    location = storage.location(_stored(storage))
    if location is not None:
        parts = location.split("/")
        assert not {"", ".", ".."} & set(parts), "a location has normal segments only"


def url_is_absolute(storage: Storage) -> None:
    """A URL says its scheme; None is an answer too."""
    url = storage.url(
        _stored(storage),
        filename="tide.tgz",
        media_type="application/gzip",
        expires=timedelta(minutes=5),
    )
    assert url is None or "://" in url


# -------------------------------------------------------------------------------- properties


def any_chunks(storage: Storage, chunks: list[bytes]) -> None:
    """An object is what was written, however it was cut into chunks."""
    content = b"".join(chunks)
    key = _key(content)
    writer = storage.writer()
    for chunk in chunks:
        writer.write(chunk)
    writer.commit(key)
    _assert_holds(storage, key, content)


def any_part(storage: Storage, content: bytes, start: int, stop: int | None) -> None:
    """A part is the slice of the content, also where it begins or ends behind the end."""
    key = _stored(storage, content)
    assert _read(storage, key, start, stop) == content[start:stop]


def any_objects(storage: Storage, contents: list[bytes]) -> None:
    """Objects do not disturb each other, and the keys are exactly theirs."""
    kept = {_stored(storage, content): content for content in contents}
    for key, content in kept.items():
        _assert_holds(storage, key, content)
    assert sorted(map(str, storage.keys())) == sorted(map(str, kept))


_EXAMPLES: Final[tuple[_Check, ...]] = (
    new_storage_is_empty,
    missing_object,
    stored_object,
    empty_object,
    large_object,
    nothing_before_commit,
    reading_before_commit,
    commit_twice,
    commit_under_another_key,
    two_writers_of_one_key,
    writers_side_by_side,
    abort_forgets,
    abort_after_commit,
    delete_object,
    delete_missing,
    generations_are_apart,
    readers_side_by_side,
    reading_in_pieces,
    threads_side_by_side,
    sweep_takes_what_was_left,
    sweep_leaves_the_young,
    location_is_below_the_root,
    url_is_absolute,
)

_PROPERTIES: Final[tuple[tuple[_Check, dict[str, Any]], ...]] = (
    (any_chunks, {"chunks": st.lists(_contents, max_size=6)}),
    (any_part, {"content": _contents, "start": _positions, "stop": st.none() | _positions}),
    (any_objects, {"contents": st.lists(_contents, max_size=8)}),
)


# ------------------------------------------------------------------------------- the machine


class _StorageMachine(RuleBasedStateMachine):
    """Calls in any order, beside a dict."""

    bodies: Bundle[tuple[BlobWriter, list[bytes]]] = Bundle("bodies")
    keys: Bundle[BlobKey] = Bundle("keys")

    def __init__(self, make_storage: MakeStorage) -> None:
        super().__init__()
        self._open = contextlib.ExitStack()
        self.storage: Storage = self._open.enter_context(make_storage())
        self.model: dict[BlobKey, bytes] = {}

    @rule(target=bodies)
    def begin(self) -> tuple[BlobWriter, list[bytes]]:
        return self.storage.writer(), []

    @rule(body=bodies, chunk=_contents)
    def write(self, body: tuple[BlobWriter, list[bytes]], chunk: bytes) -> None:
        body[0].write(chunk)
        body[1].append(chunk)

    @rule(body=bodies)
    def read_upload(self, body: tuple[BlobWriter, list[bytes]]) -> None:
        with body[0].open() as stream:
            assert stream.read() == b"".join(body[1]), "a writer reads what was written so far"

    @rule(target=keys, body=consumes(bodies), again=st.booleans())
    def commit(self, body: tuple[BlobWriter, list[bytes]], again: bool) -> BlobKey:  # noqa: FBT001 - a drawn value
        content = b"".join(body[1])
        key = _key(content)
        for _ in range(1 + again):
            body[0].commit(key)
        body[0].abort()
        self.model[key] = content
        return key

    @rule(body=consumes(bodies))
    def abort(self, body: tuple[BlobWriter, list[bytes]]) -> None:
        body[0].abort()

    @rule(key=keys, start=_positions, stop=st.none() | _positions)
    def read(self, key: BlobKey, start: int, stop: int | None) -> None:
        if key in self.model:
            content = self.model[key]
            assert self.storage.size(key) == len(content), "the size is that of the content"
            assert _read(self.storage, key, start, stop) == content[start:stop], "and so is a part"
        else:
            _assert_missing(self.storage, key)

    @rule(key=keys)
    def delete(self, key: BlobKey) -> None:
        self.storage.delete(key)
        self.model.pop(key, None)

    @rule(target=keys)
    def invent(self) -> BlobKey:
        return _key(b"never stored")

    @rule()
    def sweep(self) -> None:
        assert self.storage.sweep(_LONG_AGO) == 0, "nothing is that old"

    @invariant()
    def lists_what_it_holds(self) -> None:
        assert set(self.storage.keys()) == set(self.model), "the keys are those of the objects"

    def teardown(self) -> None:
        self._open.close()
