"""``[plugins.conan]``: what a server.conf says beyond the settings that every format has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs

from repocore.config import Secret, says

__all__ = ["ConanSettings"]


def _positive(value: timedelta) -> None:
    if value <= timedelta(0):
        raise ValueError("must be more than nothing")


def _users(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError('expected a table: name = "$argon2id$…"')  # noqa: TRY004 - as every check
    for name, secret in value.items():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(secret, Secret) and not str(secret).startswith("$argon2"):  # pyright: ignore[reportUnknownArgumentType]
            message = (
                f"the password of {name} stands there in the clear; `repocore config convert` "
                'writes its hash, { file = "NAME" } takes it from elsewhere'
            )
            raise ValueError(message)


@attrs.frozen(kw_only=True)
class ConanSettings:
    """``[plugins.conan]``."""

    url_lifetime: timedelta = attrs.field(
        default=timedelta(minutes=30),
        metadata=says("How long a Conan 1 client may use a signed URL.", check=_positive),
    )
    updown_secret: Secret | None = attrs.field(
        default=None,
        metadata=says("Signs the URLs of Conan 1 clients; else a key of the catalog does."),
    )
    jwt_secret: Secret | None = attrs.field(
        default=None,
        metadata=says("Logins that a conan_server signed with it are good for Conan repositories."),
    )
    users: Mapping[str, str] = attrs.field(
        factory=dict[str, str],
        metadata={
            **says("Names and argon2id hashes of people without an account.", check=_users),
            "as_written": True,
        },
    )
    authenticator: Path | None = attrs.field(
        default=None, metadata=says("A conan_server authenticator plugin, a Python file.")
    )
    authorizer: Path | None = attrs.field(
        default=None,
        metadata=says("A conan_server authorizer plugin: it decides about Conan repositories."),
    )
    forbid: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether what a signed-in user may not read is 403 as conan_server has it, not 404."
        ),
    )
