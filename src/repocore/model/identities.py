"""Who somebody is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

__all__ = ["Identity"]


@attrs.frozen(kw_only=True)
class Identity:
    """An account of ours that somebody has proved to be by an account elsewhere."""

    #: The name of the ``[[provider]]``.
    provider: str
    #: What never changes about the account there.
    subject: str
    #: The name of the account here.
    account: str
    #: What the provider said last: a name, an address.
    profile: Mapping[str, str]
    created_at: datetime
    #: When it was last used.
    last_at: datetime
