"""The class that ``[sign_in]`` becomes: how many failures are borne."""

from __future__ import annotations

from datetime import timedelta

import attrs

from repocore.config.saying import positive, says

__all__ = ["SignInSettings"]


@attrs.frozen(kw_only=True)
class SignInSettings:
    """``[sign_in]``: what becomes of those who fail again and again to sign in."""

    attempts: int = attrs.field(
        default=10,
        metadata=says(
            "Failures of an account from one address before that pair is blocked.", check=positive
        ),
    )
    attempts_of_account: int = attrs.field(
        default=100,
        metadata=says("Failures of an account from wherever before it is.", check=positive),
    )
    attempts_of_address: int = attrs.field(
        default=100,
        metadata=says(
            "Failures from an address, with whichever names and tokens, before it is.",
            check=positive,
        ),
    )
    window: timedelta = attrs.field(
        default=timedelta(minutes=15),
        metadata=says("Failures that are further apart do not add up.", check=positive),
    )
    block: timedelta = attrs.field(
        default=timedelta(seconds=30),
        metadata=says("How long a block is; each further failure doubles it.", check=positive),
    )
    longest_block: timedelta = attrs.field(
        default=timedelta(hours=1), metadata=says("How long it is at most.", check=positive)
    )
