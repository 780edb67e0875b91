"""``notices.json`` (CEP 6): messages to those who use the channel.

Its notices are options of the repository.  All are in it, those that have expired too: clients
compare times themselves, and a document is a function of what is stored, not of the time of day.
A channel without notices has no such file, which clients take as it is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from repocore.model import FilePath
from repocore.plugins.conda.encodings import JSON
from repocore.plugins.conda.records import canonical
from repocore.plugins.conda.settings import channel_options
from repocore.ports import DocumentOutput, ReleaseQuery

__all__ = ["NoticesIndexer"]

#: Another number makes every document of this module anew.
_CODE: Final = 1
_NAME: Final = "notices.json"


@attrs.frozen(kw_only=True)
class NoticesIndexer:
    """Makes ``notices.json``, where the options have notices."""

    format: str = attrs.field(default="conda", init=False)
    kind: str = attrs.field(default="notices", init=False)
    variant: str = attrs.field(default=str(_CODE), init=False)

    def partition(self, path: FilePath) -> str | None:
        """The whole repository, for its one path."""
        return "" if path.parts == (_NAME,) else None

    def paths(self, partitions: Sequence[str]) -> Iterable[FilePath]:
        """The one of the channel."""
        return (FilePath((_NAME,)),)

    def is_immutable(self, path: FilePath) -> bool:
        """It is not."""
        return False

    def standing(self, partition: str) -> bool:
        """Notices need no packages."""
        return True

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        """Write the notices, as they are in the options."""
        notices = channel_options(query.repository.options).notices
        if notices:
            content = canonical({"notices": [notice.document() for notice in notices]})
            with output.open(FilePath((_NAME,)), JSON) as writer:
                writer.write(content)
