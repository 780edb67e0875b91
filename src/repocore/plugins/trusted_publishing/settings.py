"""What ``[plugins.trusted_publishing]`` says: which jobs of a CI may publish what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import attrs

from repocore.config import Secret, http_url, says, scope_rule
from repocore.model import check_account_name

__all__ = ["PublisherSettings", "TrustedPublishingSettings"]

#: Claims that are names: whoever registers a name anew has it.  Each has a number beside it.
_NAMES: Final[Mapping[str, str]] = {
    "repository": "repository_id",
    "repository_owner": "repository_owner_id",
    "namespace_path": "namespace_id",
    "project_path": "project_id",
}
_LONGEST: Final = timedelta(hours=6)
_URL: Final = http_url("https://ci.example")
#: What the token is checked for anyway.
_CHECKED: Final = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})


def _claims(value: Mapping[str, Any]) -> None:
    if not value:
        raise ValueError("without claims every job of that CI would be let in; name at least one")
    for name, wanted in value.items():
        if name in _CHECKED:
            raise ValueError(f"{name} is checked anyway; name claims that tell jobs apart")
        several = cast("list[Any]", wanted) if isinstance(wanted, list) else [wanted]
        if not several or not all(isinstance(one, (str, int)) for one in several):
            raise ValueError(f"{name} is a text, a number, or a list of which one has to be there")
    for name, number in _NAMES.items():
        if name in value and number not in value:
            raise ValueError(
                f"{name} is a name, which somebody else may register one day; also give {number}"
            )


def _scopes(value: tuple[str, ...]) -> None:
    if not value:
        raise ValueError("name what may be done, as in write:conda/main/pretty")
    for text in value:
        scope_rule(text)


def _some(value: tuple[str, ...]) -> None:
    if not value or not all(value):
        raise ValueError("name the audience that the job asks its token for")


def _short(value: timedelta) -> None:
    if not timedelta(0) < value <= _LONGEST:
        raise ValueError("a publishing token lives for up to six hours")


def _different(value: tuple[PublisherSettings, ...]) -> None:
    if len({one.name for one in value}) < len(value):
        raise ValueError("two have the same name")


def _mapping() -> dict[str, Any]:
    return {}


@attrs.frozen(kw_only=True)
class PublisherSettings:
    """A ``[[plugins.trusted_publishing.publisher]]``: one kind of jobs, and what they may do."""

    name: str = attrs.field(
        metadata=says("Its name, in the names of tokens.", check=check_account_name)
    )
    issuer: str = attrs.field(
        metadata=says("Who signs the jobs' tokens, exactly as their `iss` has it.", check=_URL)
    )
    audience: tuple[str, ...] = attrs.field(
        metadata=says(
            "For whom they are signed: what clients ask for, mostly our host.", check=_some
        )
    )
    claims: Mapping[str, Any] = attrs.field(
        factory=_mapping,
        metadata=says(
            "What the token has to say of the job: each claim is exactly this, or one of a list.",
            check=_claims,
        ),
    )
    account: str = attrs.field(
        metadata=says("The account in whose name they publish.", check=check_account_name)
    )
    allow: tuple[str, ...] = attrs.field(
        metadata=says(
            "What they may do of what the account may, each as actions:pattern.", check=_scopes
        )
    )
    lifetime: timedelta = attrs.field(
        default=timedelta(minutes=15),
        metadata=says("How long the traded token is good.", check=_short),
    )
    keys_url: str | None = attrs.field(
        default=None,
        metadata=says("Where the issuer's keys are; else they are discovered.", check=_URL),
    )
    ca_bundle: Path | None = attrs.field(
        default=None, metadata=says("Certificates in the place of the system's.")
    )
    proxy: Secret | None = attrs.field(
        default=None,
        repr=False,
        metadata=says("http://[user:password@]host:port on the way to the issuer."),
    )
    hosts: tuple[str, ...] = attrs.field(
        default=(), metadata=says("Networks and names of hosts that need not be public.")
    )


def _none() -> tuple[PublisherSettings, ...]:
    return ()


@attrs.frozen(kw_only=True)
class TrustedPublishingSettings:
    """``[plugins.trusted_publishing]``."""

    publisher: tuple[PublisherSettings, ...] = attrs.field(
        factory=_none, metadata=says("Which jobs may publish what.", check=_different)
    )
