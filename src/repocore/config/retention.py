"""``[[retention]]``: what is kept."""

from __future__ import annotations

from datetime import timedelta

import attrs

from repocore.config.saying import positive, says, whole
from repocore.model import Pattern

__all__ = ["RetentionSettings"]


@attrs.frozen(kw_only=True)
class RetentionSettings:
    """A ``[[retention]]``: what of some packages is kept; of several, the first that fits decides.

    Raises `ValueError` for a value that cannot be, and where nothing says what is kept.
    """

    pattern: str = attrs.field(
        metadata=says(
            "Which packages it is about: format/name/package/version, as in a rule.",
            check=Pattern.compile,
        )
    )
    keep_last: int | None = attrs.field(
        default=None,
        metadata=says(
            "How many of the newest revisions are kept, of each recipe and of each package, or in "
            "a channel how many of the newest versions; without it one.",
            check=whole,
        ),
    )
    keep_downloaded: timedelta | None = attrs.field(
        default=None,
        metadata=says("What was downloaded in so long a time is kept.", check=positive),
    )
    keep_younger: timedelta | None = attrs.field(
        default=None,
        metadata=says("What was uploaded in so long a time is kept.", check=positive),
    )
    keep_count: int | None = attrs.field(
        default=None,
        metadata=says(
            "So many of the newest releases of the whole repository are kept.", check=positive
        ),
    )
    keep_count_each: int | None = attrs.field(
        default=None,
        metadata=says("So many of the newest releases of each package are kept.", check=positive),
    )
    keep_size: int | None = attrs.field(
        default=None,
        metadata=says(
            "As many of the newest releases of the whole repository are kept as have no more "
            "bytes together.",
            check=positive,
            size=True,
        ),
    )

    def __attrs_post_init__(self) -> None:
        Pattern.compile(self.pattern)
        whole(self.keep_last)
        others = (
            self.keep_downloaded,
            self.keep_younger,
            self.keep_count,
            self.keep_count_each,
            self.keep_size,
        )
        for value in others:
            positive(value)
        if not self.keep_last and all(value is None for value in others):
            message = (
                "nothing says what is kept; give keep_last (1 or more), keep_downloaded, "
                "keep_younger, keep_count, keep_count_each or keep_size"
            )
            raise ValueError(message)
