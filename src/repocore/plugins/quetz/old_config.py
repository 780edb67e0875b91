"""The ``config.toml`` of a quetz: where its database and its files are.

A variable ``QUETZ_<SECTION>_<OPTION>`` of the environment goes before the file, as it does there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import attrs

from repocore.errors import ConfigurationError, RejectedError

__all__ = ["FILE_NAME", "ObjectStore", "OldQuetz", "read_old_quetz"]

FILE_NAME: Final = "config.toml"
_SQLITE: Final = "sqlite:///"
_S3: Final = (
    "access_key", "secret_key", "url", "region", "bucket_name", "bucket_prefix", "bucket_suffix",
)  # fmt: skip


@attrs.frozen(kw_only=True)
class ObjectStore:
    """Channels in a bucket of S3, or in one bucket each."""

    access_key: str = ""
    secret_key: str = attrs.field(default="", repr=False)
    url: str = ""
    region: str = ""
    bucket_name: str = ""
    bucket_prefix: str = ""
    bucket_suffix: str = ""

    def root(self, channel: str) -> str:
        """Where the files of a channel are: a bucket, and maybe the beginning of keys."""
        own = f"{self.bucket_prefix}{channel}{self.bucket_suffix}"
        return f"{self.bucket_name}/{own}" if self.bucket_name else own


@attrs.frozen(kw_only=True)
class OldQuetz:
    """A deployment of quetz."""

    #: Its folder; where files are local, they are in ``channels`` below it.
    folder: Path
    database_url: str = attrs.field(repr=False)
    objects: ObjectStore | None = None

    @property
    def channels(self) -> Path:
        """The folder of the channels, if files are local."""
        return self.folder / "channels"


def read_old_quetz(path: Path, environ: Mapping[str, str]) -> OldQuetz:
    """Read the configuration in a file, or in a deployment's folder.

    Raises `RejectedError` where there is none, and `ConfigurationError` for one without a database,
    or with files in a store that is not read here.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        message = f"There is no {file}; name the config.toml of a quetz, or the folder with it."
        raise RejectedError(message) from None
    except (ValueError, OSError) as error:
        message = f"{file} cannot be read: {type(error).__name__}."
        raise RejectedError(message) from error
    folder = file.absolute().parent

    def option(section: str, name: str) -> str:
        value = environ.get(f"QUETZ_{section}_{name}".upper())
        return _text(table, section, name) if value is None else value

    url = option("sqlalchemy", "database_url")
    if not url:
        message = f"{file} names no database: database_url below [sqlalchemy] is missing."
        raise ConfigurationError(message)
    for section, name in (("azure_blob", "account_name"), ("gcs", "project")):
        if option(section, name) and not option("s3", "bucket_name"):
            message = (
                f"Files below [{section}] are not read. Copy them to {folder / 'channels'}, a "
                "folder for each channel, and take that section out of a copy of the file."
            )
            raise ConfigurationError(message)
    s3 = {name: option("s3", name) for name in _S3} if "s3" in table else {}
    objects = ObjectStore(**s3) if any(s3.values()) else None
    return OldQuetz(folder=folder, database_url=_anchored(url, folder), objects=objects)


def _text(table: Mapping[str, Any], section: str, name: str) -> str:
    found = table.get(section)
    value = cast("Mapping[str, Any]", found).get(name) if isinstance(found, dict) else None
    return "" if value is None else str(value)


def _anchored(url: str, folder: Path) -> str:
    """A database's URL; a file is relative to the deployment, where quetz was started."""
    if not url.startswith(_SQLITE):
        return url
    return f"{_SQLITE}{folder / url.removeprefix(_SQLITE)}"
