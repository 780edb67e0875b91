"""Every indexer of a channel; each makes one kind of documents."""

from __future__ import annotations

from repocore.plugins.conda.channeldata import ChanneldataIndexer
from repocore.plugins.conda.current import CurrentIndexer
from repocore.plugins.conda.notices import NoticesIndexer
from repocore.plugins.conda.repodata import RepodataIndexer
from repocore.plugins.conda.run_exports import RunExportsIndexer
from repocore.plugins.conda.settings import CondaSettings
from repocore.plugins.conda.shards import ShardsIndexer
from repocore.ports import Indexer

__all__ = ["indexers"]


def indexers(settings: CondaSettings) -> tuple[Indexer, ...]:
    """The indexers with these settings, those first that clients ask for first."""
    return (
        ShardsIndexer(settings=settings),
        RepodataIndexer(settings=settings),
        RunExportsIndexer(settings=settings),
        CurrentIndexer(settings=settings),
        ChanneldataIndexer(settings=settings),
        NoticesIndexer(),
        RepodataIndexer(settings=settings, patched=False),
    )
