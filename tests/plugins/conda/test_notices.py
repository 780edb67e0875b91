"""notices.json: what a channel's owner wants to be told."""

from __future__ import annotations

from hypothesis import strategies as st
from release_query import channel, decoded

from repocore.model import FilePath
from repocore.plugins.conda.notices import NoticesIndexer
from repocore.testing.contracts.indexer import indexer_contract
from repocore.testing.documents import make_documents

TestNoticesIndexer = indexer_contract(NoticesIndexer, releases=st.just([]), whole=True)


def test_notices_are_those_of_the_options():
    """Those that have expired too: clients know what time it is."""
    notice = {
        "id": "1",
        "message": "Low water.",
        "level": "warning",
        "created_at": "2001-01-01T00:00:00+00:00",
        "expires_at": "2001-02-01T00:00:00+00:00",
    }
    documents = make_documents(NoticesIndexer(), channel(notices=[notice]), "")
    assert decoded(documents, "notices.json") == {"notices": [notice]}


def test_without_notices_there_is_no_file():
    """Clients take that as nothing to tell."""
    assert make_documents(NoticesIndexer(), channel(), "").mutable == {}


def test_path():
    """At the root of the channel."""
    assert NoticesIndexer().partition(FilePath.parse("notices.json")) == ""
    assert NoticesIndexer().partition(FilePath.parse("noarch/notices.json")) is None
    assert NoticesIndexer().standing("")
