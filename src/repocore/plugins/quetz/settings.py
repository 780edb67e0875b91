"""``[plugins.quetz]``: what people who come from quetz go on having."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from repocore.config import says

__all__ = ["QuetzSettings"]


def _some_bytes(value: int | None) -> None:
    if value is not None and value < 0:
        raise ValueError("must not be below nothing")


@attrs.frozen(kw_only=True)
class QuetzSettings:
    """``[plugins.quetz]``."""

    channel_quota: int | None = attrs.field(
        default=None,
        metadata=says(
            "The size of a channel that is made by this API, where its maker sets none.",
            check=_some_bytes,
            size=True,
        ),
    )
    terms: Mapping[str, str] = attrs.field(
        factory=dict[str, str],
        metadata=says("Terms of service, by language; none means that there are none."),
    )
    terms_required: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether they have to be signed before somebody makes channels or keys by this API."
        ),
    )
