"""What every indexer keeps: the same releases are the same documents, however they came about."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from repocore.model import FilePath, Repository
from repocore.ports import Indexer, Listed
from repocore.testing.documents import Documents, MemoryReleases, make_documents

__all__ = ["indexer_contract"]

MakeIndexer = Callable[[], Indexer]

_SETTINGS = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
_CHUNKS = (1, 2, 1000)


def indexer_contract(  # noqa: C901 - a class of small tests
    make_indexer: MakeIndexer,
    *,
    releases: st.SearchStrategy[Sequence[Listed]],
    partition: str = "noarch",
    whole: bool = False,
) -> type:
    """A class of tests for an indexer.

    ``releases`` draws releases with names of their own, which all come into the partition.  With
    ``whole`` the documents are those of the whole repository, not of the partition.
    """
    of = "" if whole else partition

    def channel(found: Sequence[Listed]) -> MemoryReleases:
        made = MemoryReleases(Repository(format=make_indexer().format, name="main"))
        made.put(partition, *found)
        return made

    def scratch(found: MemoryReleases, *, chunk: int = _CHUNKS[-1]) -> Documents:
        return make_documents(make_indexer(), found, of, chunk=chunk)

    class TestIndexer:
        """The contract of `repocore.ports.Indexer`."""

        def test_the_same_releases_are_the_same_bytes(self) -> None:
            """Neither their order, nor their history, nor how they are read makes a difference."""

            @_SETTINGS
            @given(releases, st.randoms(use_true_random=False))
            def check(found: Sequence[Listed], random: Any) -> None:
                first = scratch(channel(found))
                other = list(found)
                random.shuffle(other)
                again = channel(found)
                again.put(partition, *other)
                for chunk in _CHUNKS:
                    _same(scratch(again, chunk=chunk), first)

            check()

        def test_going_on_is_the_same_as_starting_over(self) -> None:
            """A generation made from the one before has its documents, and no others."""

            @_SETTINGS
            @given(releases, releases, st.data())
            def check(found: Sequence[Listed], more: Sequence[Listed], data: st.DataObject) -> None:
                made = channel(found)
                before = scratch(made)
                names = sorted({release.name for release in (*found, *more)})
                for release in more:
                    made.put(partition, release)
                    if names and data.draw(st.booleans()):
                        made.withdraw(partition, data.draw(st.sampled_from(names)))
                    if data.draw(st.booleans()):
                        before = make_documents(make_indexer(), made, of, before)
                        _same(before, scratch(made))
                _same(make_documents(make_indexer(), made, of, before), scratch(made))

            check()

        def test_what_is_gone_is_gone(self) -> None:
            """Without a release there are no more documents than there ever were without one."""

            @_SETTINGS
            @given(releases)
            def check(found: Sequence[Listed]) -> None:
                made = channel(found)
                before = scratch(made)
                made.withdraw(partition, *[release.name for release in found])
                left = make_documents(make_indexer(), made, of, before)
                _same(left, scratch(made))
                empty = scratch(channel([]))
                assert set(left.mutable) == set(empty.mutable)
                assert set(left.immutable) == set(empty.immutable)

            check()

        def test_it_knows_its_documents_by_their_paths(self) -> None:
            """Of each that it makes it says whose it is, and whether it ever changes."""

            @_SETTINGS
            @given(releases)
            def check(found: Sequence[Listed]) -> None:
                indexer = make_indexer()
                made = scratch(channel(found))
                for immutable, documents in ((False, made.mutable), (True, made.immutable)):
                    for text in documents:
                        path = FilePath.parse(text)
                        assert indexer.partition(path) == of
                        assert indexer.is_immutable(path) is immutable

            check()

        def test_it_names_its_documents(self) -> None:
            """An export that asks for the paths which it names misses none."""

            @_SETTINGS
            @given(releases)
            def check(found: Sequence[Listed]) -> None:
                indexer = make_indexer()
                named = {str(path) for path in indexer.paths([partition])}
                assert named >= set(scratch(channel(found)).mutable)
                assert all(indexer.partition(FilePath.parse(path)) is not None for path in named)

            check()

        def test_an_immutable_document_is_named_by_its_content(self) -> None:
            """Its path has the sha256 of its bytes, so that other bytes are another path."""

            @_SETTINGS
            @given(releases)
            def check(found: Sequence[Listed]) -> None:
                for path, content in scratch(channel(found)).immutable.items():
                    assert hashlib.sha256(content).hexdigest() in path

            check()

        def test_other_paths_are_not_its_own(self) -> None:
            """A path that nobody makes a document of is no document of it."""
            assert make_indexer().partition(FilePath.parse("a/b/c/nothing-of-the-kind")) is None

        def test_it_is_always_the_same(self) -> None:
            """Two of the same settings have one format, kind and variant."""
            one, other = make_indexer(), make_indexer()
            assert (one.format, one.kind, one.variant) == (other.format, other.kind, other.variant)
            assert one.format
            assert one.kind

    return TestIndexer


def _same(one: Documents, other: Documents) -> None:
    assert dict(one.mutable) == dict(other.mutable)
    assert dict(one.immutable) == dict(other.immutable)
