"""The contract of indexers: a small one keeps it, and broken ones are found."""

from __future__ import annotations

import hashlib
import inspect
import itertools

import pytest
from hypothesis import strategies as st

from repocore.errors import DuplicateDocumentError
from repocore.model import FilePath, Repository
from repocore.ports import Listed
from repocore.testing import indexer_contract
from repocore.testing.documents import MemoryOutput, MemoryReleases, make_documents

RELEASES = st.lists(
    st.builds(
        lambda name, at: Listed(f"{name}-{at}", name, "1", "", at, b"{}", b""),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 3),
    ),
    unique_by=lambda release: release.name,
    max_size=6,
)


class Good:
    """A page of each package, named by its digest, and a list of these."""

    format = "plain"
    kind = "pages"
    variant = "1"

    def partition(self, path):
        folder = path.parts[0]
        mine = path.parts[1:] == ("list",) or (
            path.parts[1:2] == ("pages",) and len(path.parts) == 3
        )
        return folder if mine else None

    def paths(self, partitions):
        return [FilePath((name, "list")) for name in partitions]

    def is_immutable(self, path):
        return path.name != "list"

    def standing(self, partition):
        return False

    def page(self, query, package):
        names = [release.name for rows in query.listed([package]) for release in rows]
        return "\n".join(names).encode()

    def path(self, query, digest):
        return FilePath((query.partition, "pages", digest))

    def before(self, query):
        content = query.document(FilePath((query.partition, "list"))) if query.previous else None
        return dict(line.split() for line in (content or b"").decode().splitlines())

    def make(self, query, output):
        before = self.before(query)
        pages = dict(before)
        if query.previous:
            names = self.changed(query)
        else:
            names = {release.package for rows in query.listed() for release in rows}
        for name in sorted(names):
            content = self.page(query, name)
            pages.pop(name, None)
            if content:
                pages[name] = hashlib.sha256(content).hexdigest()
                output.add(self.path(query, pages[name]), content, "text/plain")
        self.forget(query, output, set(before.values()) - set(pages.values()))
        self.write_list(query, output, pages)

    def changed(self, query):
        return query.changed(query.previous)

    def forget(self, query, output, digests):
        for digest in digests:
            output.drop(self.path(query, digest))

    def write_list(self, query, output, pages):
        lines = [f"{name} {digest}\n" for name, digest in sorted(pages.items())]
        with output.open(FilePath((query.partition, "list")), "text/plain") as writer:
            writer.write("".join(lines).encode())


class Counting(Good):
    turns = itertools.count()

    def page(self, query, package):
        content = super().page(query, package)
        return content and content + str(next(self.turns)).encode()


class Keeping(Good):
    def forget(self, query, output, digests):
        """What is superseded stays."""


class Sleeping(Good):
    def changed(self, query):
        return set()


class InChunks(Good):
    def page(self, query, package):
        return b"\n".join(
            b",".join(release.name.encode() for release in rows) for rows in query.listed([package])
        )


class InSerials(Good):
    def write_list(self, query, output, pages):
        super().write_list(query, output, pages)
        path = FilePath((query.partition, "pages", "serial"))
        with output.open(path, "text/plain") as writer:
            writer.write(str(query.serial).encode())


class Elsewhere(Good):
    def partition(self, path):
        return None


class Everywhere(Good):
    def partition(self, path):
        return path.parts[0]


class Silent(Good):
    def paths(self, partitions):
        return []


class Changing(Good):
    def is_immutable(self, path):
        return False


class Misnamed(Good):
    def path(self, query, digest):
        return FilePath((query.partition, "pages", digest[:10]))


class Restless(Good):
    @property
    def variant(self):
        return str(next(Counting.turns))


def run(kind) -> None:
    tests = indexer_contract(kind, releases=RELEASES)()
    for name, function in inspect.getmembers(tests, inspect.ismethod):
        if name.startswith("test_"):
            function()


TestGood = indexer_contract(Good, releases=RELEASES)


@pytest.mark.parametrize(
    "broken",
    [
        Counting,
        Keeping,
        Sleeping,
        InChunks,
        InSerials,
        Elsewhere,
        Everywhere,
        Silent,
        Changing,
        Misnamed,
        Restless,
    ],
)
@pytest.mark.usefixtures("any_failure")
def test_a_broken_indexer_is_found(broken) -> None:
    """Each breaks one promise, and the contract says so."""
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        run(broken)


def test_memory_tells_what_a_registry_tells() -> None:
    """Serials, changes and what is gone, each as of the moment of the query."""
    releases = MemoryReleases(Repository(format="plain", name="main"))
    one, two = (Listed(name, name, "1", "", 7, b"{}", b"x") for name in "ab")
    releases.put("here", one, two)
    before = releases.query("here")
    releases.withdraw("here", "a", "unknown")
    query = releases.query("here", previous=2)
    assert [list(rows) for rows in before.listed()] == [[one, two]]
    assert [list(rows) for rows in query.records()] == [[("b", "", 7, b"{}")]]
    assert (query.serial, query.changed(2), query.withdrawn()) == (3, {"a"}, ["a"])
    whole = releases.query("")
    assert [(part.partition, part.serial) for part in whole.partitions()] == [("here", 3)]
    assert whole.serial == 3


def test_memory_refuses_what_a_registry_refuses() -> None:
    """Two documents of one path are a mistake of the indexer."""
    output = MemoryOutput()
    path = FilePath.parse("here/list")
    with output.open(path, "text/plain") as writer:
        writer.write(b"1")
    with pytest.raises(DuplicateDocumentError), output.open(path, "text/plain"):
        pass
    with pytest.raises(DuplicateDocumentError):
        output.add(path, b"", "text/plain")


def test_other_settings_start_over() -> None:
    """A generation of another variant is no ground to go on from."""
    releases = MemoryReleases(Repository(format="plain", name="main"))
    releases.put("here", Listed("a-1", "a", "1", "", 7, b"{}", b""))
    before = make_documents(Good(), releases, "here")

    class Other(Good):
        variant = "2"

        def page(self, query, package):
            return b"other " + super().page(query, package)

    after = make_documents(Other(), releases, "here", before)
    assert list(after.immutable.values()) == [b"other a-1"]
