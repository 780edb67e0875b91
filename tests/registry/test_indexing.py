"""Documents: made when somebody needs them, never older than what their reader could know."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from repocore import (
    Action,
    DocumentPendingError,
    DuplicateDocumentError,
    FileMissingError,
    Grain,
    NotAuthenticatedError,
    Registry,
    hookimpl,
)
from repocore.config import Settings
from repocore.model import DraftRelease, File, FileFacts, FilePath
from repocore.plugin_manager import open_registry
from repocore.ports import DocumentOutput, Indexer, ReleaseQuery, StagedContent

SHELF = "shelf/main"
LIST = "red/list.txt"


class ShelfFormat:
    """A path is colour/name; each file is a release of its colour."""

    name = "shelf"
    read_grain = Grain.REPOSITORY
    needs_checksums: frozenset[str] = frozenset()
    overwrites = True

    def locate(self, path: FilePath) -> FileFacts:
        colour, name = path.parts
        return FileFacts(partition=colour, release=name, package=name, version="1", sole=True)

    def inspect(self, path: FilePath, content: StagedContent) -> FileFacts:
        with content.open() as stream:
            word = stream.read().decode()
        record = json.dumps({"word": word}).encode()
        return attrs.evolve(self.locate(path), record=record, extra=word.upper().encode())

    def scope(self, partition: str) -> tuple[str | None, str | None]:
        return None, None

    def whole(self, draft: DraftRelease, files: Sequence[File]) -> bool:
        return len(files) == 1

    def sort_key(self, version: str) -> bytes:
        return version.encode()

    def check_options(self, options: object) -> None:
        """Any will do."""


@attrs.define
class Lister:
    """One line for each release; tests put something in its way."""

    variant: str = "1"
    made: int = 0
    before: Callable[[], None] = lambda: None
    previous: list[int] = attrs.field(factory=list[int])

    format = "shelf"
    kind = "list"

    def partition(self, path: FilePath) -> str | None:
        return path.parts[0] if path.parts[-1] == "list.txt" else None

    def paths(self, partitions: Sequence[str]) -> Sequence[FilePath]:
        return [FilePath((name, "list.txt")) for name in sorted({*partitions, "white"})]

    def is_immutable(self, path: FilePath) -> bool:
        return False

    def standing(self, partition: str) -> bool:
        return partition == "white"

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        self.made += 1
        self.previous.append(query.previous)
        lines = [
            f"{name} {json.loads(record)['word']} {section}\n"
            for rows in query.records()
            for name, section, _, record in rows
        ]
        self.before()
        with output.open(FilePath.parse(f"{query.partition}/list.txt"), "text/plain") as writer:
            writer.write("".join(lines).encode())
            writer.write(f"options {dict(query.repository.options)}\n".encode())


class Cards:
    """An immutable document for each release, named by its content, and an index of them."""

    format = "shelf"
    kind = "cards"
    variant = "1"

    def partition(self, path: FilePath) -> str | None:
        if path.parts[-1] == "cards.json" or path.parts[1:2] == ("cards",):
            return path.parts[0]
        return None

    def paths(self, partitions: Sequence[str]) -> Sequence[FilePath]:
        return [FilePath((name, "cards.json")) for name in partitions]

    def is_immutable(self, path: FilePath) -> bool:
        return path.parts[-1] != "cards.json"

    def standing(self, partition: str) -> bool:
        return False

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        index_path = FilePath.parse(f"{query.partition}/cards.json")
        index: dict[str, str] = {}
        packages = None
        if query.previous:
            index = json.loads(query.document(index_path) or b"{}")
            packages = query.changed(query.previous)
        found = {one.package: one.extra for rows in query.listed(packages) for one in rows}
        for name in sorted(set(index) | set(found) if packages is None else packages):
            old = index.pop(name, None)
            if name in found:
                index[name] = found[name].decode()
                output.add(self._path(query, index[name]), found[name], "text/plain")
            if old is not None and old != index.get(name):
                output.drop(self._path(query, old))
        text = json.dumps(index, sort_keys=True).encode()
        with output.open(index_path, "application/json") as writer:
            writer.write(text)

    def _path(self, query: ReleaseQuery, word: str) -> FilePath:
        return FilePath.parse(f"{query.partition}/cards/{word}")


class Totals:
    """One document of the whole repository."""

    format = "shelf"
    kind = "totals"
    variant = "1"

    def partition(self, path: FilePath) -> str | None:
        return "" if path.parts == ("totals.txt",) else None

    def paths(self, partitions: Sequence[str]) -> Sequence[FilePath]:
        return [FilePath(("totals.txt",))]

    def is_immutable(self, path: FilePath) -> bool:
        return False

    def standing(self, partition: str) -> bool:
        return True

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        counts = {
            one.partition: sum(len(rows) for rows in one.records()) for one in query.partitions()
        }
        with output.open(FilePath.parse("totals.txt"), "text/plain") as writer:
            writer.write(json.dumps(counts).encode())


@attrs.define
class Shelf:
    """The plugin."""

    indexers: tuple[Indexer, ...]

    @hookimpl
    def repocore_formats(self) -> tuple[ShelfFormat, ...]:
        return (ShelfFormat(),)

    @hookimpl
    def repocore_indexers(self) -> tuple[Indexer, ...]:
        return self.indexers


@attrs.define
class House:
    registry: Registry

    def put(self, path: str, word: str) -> None:
        room = self.registry.session(self.registry.admin()).files
        room.put(SHELF, path, io.BytesIO(word.encode()))

    def read(self, path: str = LIST) -> str:
        room = self.registry.session(self.registry.admin()).files
        with room.open(SHELF, path) as stream:
            return stream.read().decode()

    @property
    def admin(self):
        return self.registry.session(self.registry.admin())


@contextmanager
def opened(settings: Settings, *indexers: Indexer) -> Generator[House]:
    with open_registry(settings=settings, plugins=(Shelf(indexers),)) as registry:
        room = registry.session(registry.admin()).repositories
        if SHELF not in {one.address for one in room.list()}:
            room.create(SHELF)
        yield House(registry)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data=tmp_path / "data", catalog=database_url)


@pytest.fixture
def lister() -> Lister:
    return Lister()


@pytest.fixture
def house(settings: Settings, lister: Lister) -> Iterator[House]:
    with opened(settings, lister, Cards(), Totals()) as house:
        yield house


def test_a_document_has_what_was_uploaded_just_now(house: House, lister: Lister) -> None:
    """Each read after a change sees it; reads without a change make nothing."""
    house.put("red/a", "one")
    assert house.read() == "a one \noptions {}\n"
    house.put("red/b", "two")
    assert house.read() == "a one \nb two \noptions {}\n"
    assert house.read() == house.read()
    assert lister.made == 2


def test_yanked_replaced_and_deleted_show_at_once(house: House) -> None:
    """Every change of what is listed is one of the document."""
    for name in "abc":
        house.put(f"red/{name}", name)
    house.read()
    room = house.admin.releases
    room.yank(SHELF, "red", "a")
    assert house.read().startswith("b b")
    room.yank(SHELF, "red", "a", yanked=False)
    assert house.read().startswith("a a")
    house.put("red/a", "other")
    assert house.read().startswith("a other")
    room.delete(SHELF, "red", "a")
    assert house.read().startswith("b b")


def test_the_same_bytes_again_make_nothing_anew(house: House, lister: Lister) -> None:
    """Whoever uploads what is there changes no list."""
    house.put("red/a", "one")
    house.read()
    house.put("red/a", "one")
    house.read()
    assert lister.made == 1


def test_other_partitions_are_left_alone(house: House, lister: Lister) -> None:
    """A document depends on its partition only."""
    house.put("red/a", "one")
    house.read()
    house.put("blue/a", "one")
    house.read()
    assert lister.made == 1
    assert house.read("blue/list.txt").startswith("a one")


def test_what_never_was_is_missing_unless_it_stands(house: House) -> None:
    """A partition without a release has no documents, but for those that are there from birth."""
    with pytest.raises(FileMissingError):
        house.read("green/list.txt")
    assert house.read("white/list.txt") == "options {}\n"


def test_options_are_part_of_what_documents_are_made_from(house: House) -> None:
    """A change of them is seen at once."""
    house.put("red/a", "one")
    house.read()
    house.admin.repositories.configure(SHELF, options={"colour": "dark"})
    assert house.read().endswith("options {'colour': 'dark'}\n")


def test_another_variant_makes_everything_anew(settings: Settings) -> None:
    """New code or settings do not leave old documents; what was made before is not asked for."""
    with opened(settings, Lister()) as house:
        house.put("red/a", "one")
        house.read()
    newer = Lister(variant="2")
    with opened(settings, newer) as house:
        house.read()
    assert newer.previous == [0]


def test_documents_outlive_the_process(settings: Settings) -> None:
    """What was made is served by who opens the registry next."""
    with opened(settings, Lister()) as house:
        house.put("red/a", "one")
        house.read()
    again = Lister()
    with opened(settings, again) as house:
        assert house.read().startswith("a one")
    assert again.made == 0


def test_readers_at_once_make_it_once(house: House, lister: Lister) -> None:
    """They wait for the one that is being made."""
    house.put("red/a", "one")

    def dawdle() -> None:
        threading.Event().wait(0.2)

    lister.before = dawdle
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(house.read())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert lister.made == 1


def test_a_reader_does_not_get_what_began_before_its_change(settings: Settings) -> None:
    """A generation that is being made from an older state does not satisfy who came later."""
    lister = Lister()
    with opened(settings, lister) as house, opened(settings, Lister()) as other:
        house.put("red/a", "one")
        begun, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            go_on.wait(10)

        lister.before = hold
        first = threading.Thread(target=house.read)
        first.start()
        assert begun.wait(10)
        house.put("red/b", "two")
        found: list[str] = []
        second = threading.Thread(target=lambda: found.append(other.read()))
        second.start()
        go_on.set()
        first.join()
        second.join()
        assert found == ["a one \nb two \noptions {}\n"]


def test_past_the_bound_a_reader_gets_the_generation_before(settings: Settings) -> None:
    """Marked as such; the newest comes once it is made."""
    lister = Lister()
    quick = attrs.evolve(
        settings, limits=attrs.evolve(settings.limits, document_wait=timedelta(milliseconds=50))
    )
    with opened(settings, lister) as house, opened(quick, Lister()) as other:
        house.put("red/a", "one")
        house.read()
        house.put("red/b", "two")
        begun, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            go_on.wait(10)

        lister.before = hold
        maker = threading.Thread(target=house.read)
        maker.start()
        assert begun.wait(10)
        body = other.admin.files.content(SHELF, LIST)
        assert body.late
        assert body.open(0, None).read().startswith(b"a one \noptions")
        go_on.set()
        maker.join()
        fresh = other.admin.files.content(SHELF, LIST)
        assert not fresh.late
        assert (fresh.serial or 0) > (body.serial or 0)


def test_without_a_generation_before_a_reader_is_asked_to_come_again(settings: Settings) -> None:
    """There is nothing older to give."""
    lister = Lister()
    quick = attrs.evolve(
        settings, limits=attrs.evolve(settings.limits, document_wait=timedelta(milliseconds=50))
    )
    with opened(settings, lister) as house, opened(quick, Lister()) as other:
        house.put("red/a", "one")
        begun, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            go_on.wait(10)

        lister.before = hold
        maker = threading.Thread(target=house.read)
        maker.start()
        assert begun.wait(10)
        with pytest.raises(DocumentPendingError):
            other.read()
        go_on.set()
        maker.join()


def test_an_indexer_that_fails_leaves_what_was_there(house: House, lister: Lister) -> None:
    """Nothing half made is published; the next reader tries again."""
    house.put("red/a", "one")
    house.read()
    house.put("red/b", "two")

    def fail() -> None:
        raise RuntimeError("broken")

    lister.before = fail
    with pytest.raises(RuntimeError):
        house.read()
    lister.before = lambda: None
    assert house.read() == "a one \nb two \noptions {}\n"


def test_immutable_documents_change_with_what_changed(house: House, settings: Settings) -> None:
    """Made from the difference, the index is what it would be from nothing."""
    for name in "abc":
        house.put(f"red/{name}", name)
    assert json.loads(house.read("red/cards.json")) == {"a": "A", "b": "B", "c": "C"}
    house.put("red/b", "bee")
    house.admin.releases.delete(SHELF, "red", "c")
    assert json.loads(house.read("red/cards.json")) == {"a": "A", "b": "BEE"}
    assert house.read("red/cards/BEE") == "BEE"
    # Whoever read the index before may still ask.
    assert house.read("red/cards/C") == "C"


def test_superseded_documents_go_after_their_time(settings: Settings) -> None:
    """Current ones stay."""
    soon = attrs.evolve(
        settings, limits=attrs.evolve(settings.limits, document_lifetime=timedelta(0))
    )
    with opened(soon, Cards()) as house:
        house.put("red/a", "one")
        house.read("red/cards.json")
        house.put("red/a", "two")
        house.read("red/cards.json")
        house.admin.upkeep.collect()
        with pytest.raises(FileMissingError):
            house.read("red/cards/ONE")
        assert house.read("red/cards/TWO") == "TWO"


def test_a_forgotten_tombstone_has_documents_made_from_nothing(settings: Settings) -> None:
    """What they said of it is not found among the changes."""
    soon = attrs.evolve(
        settings, limits=attrs.evolve(settings.limits, tombstone_lifetime=timedelta(0))
    )
    lister = Lister()
    with opened(soon, lister) as house:
        house.put("red/a", "one")
        house.put("red/b", "two")
        house.read()
        house.admin.releases.delete(SHELF, "red", "b")
        house.read()
        house.admin.upkeep.collect()
        house.read()
    assert lister.previous[-1] == 0


def test_documents_of_the_whole_repository_follow_every_partition(house: House) -> None:
    """They are there without any release, too."""
    assert house.read("totals.txt") == "{}"
    house.put("red/a", "one")
    house.put("blue/a", "one")
    assert json.loads(house.read("totals.txt")) == {"blue": 1, "red": 1}


def test_large_documents_lie_in_the_storage_and_are_collected_later(settings: Settings) -> None:
    """A superseded one is deleted; the current one survives every collection."""
    small = attrs.evolve(settings, limits=attrs.evolve(settings.limits, small_document=4))
    with opened(small, Lister()) as house:
        house.put("red/a", "one")
        assert house.read().startswith("a one")
        house.put("red/b", "two")
        text = house.read()
        stored = len(list(house.registry.storage.keys()))
        house.admin.upkeep.collect(grace=timedelta(0))
        assert house.read() == text
        assert len(list(house.registry.storage.keys())) == stored - 1
        house.admin.repositories.delete(SHELF)
        house.admin.upkeep.collect(grace=timedelta(0))
        assert list(house.registry.storage.keys()) == []


def test_reading_a_document_needs_read(house: House) -> None:
    """Without it nobody learns whether there is one."""
    house.put("red/a", "one")
    anonymous = house.registry.session(
        attrs.evolve(house.registry.admin(), name=None, trusted=False)
    )
    with pytest.raises(NotAuthenticatedError):
        anonymous.files.stat(SHELF, LIST)
    assert Action.READ


def test_two_indexers_of_one_kind_are_refused(settings: Settings) -> None:
    """Neither could publish its documents beside the other's."""
    with pytest.raises(DuplicateDocumentError), opened(settings, Lister(), Lister()):
        pass


def test_an_indexer_makes_only_what_is_its_own(settings: Settings) -> None:
    """A path of another partition, or one made twice, is a mistake that publishes nothing."""

    class Stray(Lister):
        def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
            with output.open(FilePath.parse("blue/list.txt"), "text/plain") as writer:
                writer.write(b"?")

    with opened(settings, Stray()) as house:
        house.put("red/a", "one")
        with pytest.raises(DuplicateDocumentError):
            house.read()


def test_a_document_keeps_its_time_while_its_bytes_stay(house: House) -> None:
    """Validators change when content does."""
    house.put("red/a", "one")
    before = house.admin.files.stat(SHELF, LIST)
    house.put("red/b", "two")
    house.admin.files.stat(SHELF, LIST)
    house.admin.releases.delete(SHELF, "red", "b")
    after = house.admin.files.stat(SHELF, LIST)
    assert after.digest == before.digest
    house.admin.repositories.configure(SHELF, description="words")
    assert house.admin.files.stat(SHELF, LIST) == after


def test_what_was_asked_for_is_made_ahead_once_changes_pause(house: House, lister: Lister) -> None:
    """The first look notes a change, the second makes it; what nobody asked for is not made."""
    house.put("red/a", "one")
    house.put("blue/a", "one")
    house.read()
    house.read("totals.txt")
    house.put("red/b", "two")
    house.registry.tell()
    assert lister.made == 1
    house.put("red/c", "three")
    house.registry.tell()
    assert lister.made == 1
    house.registry.tell()
    assert lister.made == 2
    assert "c three" in house.read()
    assert lister.made == 2


def test_nothing_is_made_ahead_where_the_settings_say_so(settings: Settings) -> None:
    """Documents then cost their first reader."""
    quiet = attrs.evolve(settings, limits=attrs.evolve(settings.limits, document_ahead=False))
    lister = Lister()
    with opened(quiet, lister) as house:
        house.put("red/a", "one")
        house.read()
        house.put("red/b", "two")
        house.registry.tell()
        house.registry.tell()
        assert lister.made == 1
