"""What ``[plugins.s3]`` says, and what the URL of the storage says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from repocore.config import Secret, http_url, positive, says, whole
from repocore.errors import ConfigurationError

__all__ = ["Addressing", "Checksums", "Place", "S3Settings", "read_place"]

#: S3: the smallest part of a multipart upload (but for the last), and the largest.
_SMALLEST: Final = 5 << 20
_LARGEST: Final = 5 << 30

# S3: 3 to 63 small letters, digits, dots and hyphens; some stores have older buckets with more.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]\Z")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9!_.*'()=+@$-]+\Z")


class Addressing(Enum):
    """Where a request names the bucket."""

    AUTO = "auto"
    PATH = "path"
    VIRTUAL = "virtual"


class Checksums(Enum):
    """When requests carry a checksum of the newer kind, besides Content-MD5."""

    WHEN_REQUIRED = "when_required"
    WHEN_SUPPORTED = "when_supported"


def _end_point(value: str | None) -> None:
    http_url("https://s3.example:9000")(value)
    if value is not None and (urlsplit(value).query or urlsplit(value).fragment):
        raise ValueError("expected a URL without ? and #")


def _part(value: int) -> None:
    if not _SMALLEST <= value <= _LARGEST:
        raise ValueError("S3 takes parts from 5 MiB to 5 GiB")


@attrs.frozen(kw_only=True)
class S3Settings:
    """``[plugins.s3]``: how the store of ``s3://…`` is reached, and what is asked of it."""

    endpoint: str | None = attrs.field(
        default=None,
        metadata=says("The URL of the store; without it that of AWS.", check=_end_point),
    )
    public_endpoint: str | None = attrs.field(
        default=None,
        metadata=says(
            "The URL at which clients reach the store, where it is another than the server's.",
            check=_end_point,
        ),
    )
    redirect: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether clients that download are sent to the store, by a URL that is signed for the "
            "one file; otherwise the server passes the bytes on."
        ),
    )
    direct_uploads: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether clients that can may send large files to the store themselves, by URLs that "
            "are signed for them; the server then reads them back."
        ),
    )
    direct_smallest: int = attrs.field(
        default=32 << 20,
        metadata=says(
            "The smallest file that is sent so.",
            check=positive,
            size=True,
        ),
    )
    direct_lifetime: timedelta = attrs.field(
        default=timedelta(hours=1),
        metadata=says(
            "How long each of these URLs works; seven days at most. A client asks for new ones.",
            check=positive,
        ),
    )
    direct_unfinished: int = attrs.field(
        default=100,
        metadata=says("Files that one account may be sending so.", check=positive),
    )
    region: str | None = attrs.field(
        default=None,
        metadata=says(
            "The region of the bucket; else that of AWS_DEFAULT_REGION or of the profile, or "
            "us-east-1."
        ),
    )
    access_key: Secret = attrs.field(
        default=Secret(),
        metadata=says(
            "The access key; without it the environment, the profile, or the role of the "
            "machine or container says who we are."
        ),
        repr=False,
    )
    secret_key: Secret = attrs.field(
        default=Secret(), metadata=says("The secret of `access_key`."), repr=False
    )
    session_token: Secret = attrs.field(
        default=Secret(), metadata=says("What temporary credentials have as a third."), repr=False
    )
    profile: str | None = attrs.field(
        default=None, metadata=says("A profile of the AWS configuration files.")
    )
    addressing: Addressing = attrs.field(
        default=Addressing.AUTO,
        metadata=says(
            "Whether the bucket is named in the path or in the host; auto is path where there "
            "is an `endpoint`."
        ),
    )
    ca_bundle: Path | None = attrs.field(
        default=None, metadata=says("Certificates that sign the store's; else the system's.")
    )
    connect_timeout: timedelta = attrs.field(
        default=timedelta(seconds=5),
        metadata=says("How long a connection may take.", check=positive),
    )
    timeout: timedelta = attrs.field(
        default=timedelta(seconds=60),
        metadata=says("How long the store may be silent.", check=positive),
    )
    retries: int = attrs.field(
        default=5,
        metadata=says(
            "How often a request that failed or was throttled is sent again, ever later, and a "
            "download that broke is taken up.",
            check=whole,
        ),
    )
    pool: int = attrs.field(
        default=32,
        metadata=says("Connections that each process keeps.", check=positive),
    )
    part_size: int = attrs.field(
        default=16 << 20,
        metadata=says(
            "A larger body is sent in parts of that size, of at most 10,000.",
            check=_part,
            size=True,
        ),
    )
    parallel_parts: int = attrs.field(
        default=4,
        metadata=says("Parts of one body that are sent side by side.", check=positive),
    )
    spool: Path | None = attrs.field(
        default=None,
        metadata=says(
            "The folder for bodies on their way to the store; else the system's temporary one."
        ),
    )
    checksums: Checksums = attrs.field(
        default=Checksums.WHEN_REQUIRED,
        metadata=says(
            "When requests carry CRC checksums; Content-MD5 is sent always. Not every store "
            "takes when_supported."
        ),
    )
    verify: bool = attrs.field(
        default=True,
        metadata=says(
            "Whether the store is asked after each upload what it has, and each file that is read "
            "as a whole is compared with its digest."
        ),
    )
    probe: bool = attrs.field(
        default=True,
        metadata=says("Whether a small object is written and read at start, to see that it works."),
    )
    storage_class: str | None = attrs.field(
        default=None, metadata=says("The storage class of objects; else the bucket's.")
    )
    encryption: str | None = attrs.field(
        default=None,
        metadata=says(
            "How the store encrypts objects, AES256 or aws:kms; else as the bucket says."
        ),
    )
    kms_key: str | None = attrs.field(
        default=None, metadata=says("The key of `encryption` by aws:kms; else the account's.")
    )

    def __attrs_post_init__(self) -> None:
        problems = "; ".join(self._problems())
        if problems:
            raise ValueError(problems)

    def _problems(self) -> Iterator[str]:
        """What no field can say alone."""
        if bool(self.access_key) != bool(self.secret_key):
            yield "`access_key` and `secret_key` go together"
        if self.session_token and not self.access_key:
            yield "`session_token` wants an `access_key`"
        if self.access_key and self.profile is not None:
            yield "`profile` and `access_key` exclude each other"
        if self.kms_key is not None and self.encryption != "aws:kms":
            yield '`kms_key` wants `encryption = "aws:kms"`'
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            yield "the file of `ca_bundle` is not there"
        if self.spool is not None and not self.spool.is_dir():
            yield "the folder of `spool` is not there"
        if self.public_endpoint is not None and not (self.redirect or self.direct_uploads):
            yield "`public_endpoint` wants `redirect = true` or `direct_uploads = true`"


@attrs.frozen
class Place:
    """A bucket, and what the names of all our objects in it begin with: nothing, or ``…/``."""

    bucket: str
    prefix: str


def read_place(url: str) -> Place:
    """The place of ``s3://bucket/prefix``; raises `ConfigurationError` with every problem."""
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    problems: list[str] = []
    if parts.query or parts.fragment:
        problems.append("storage: options of S3 stand in [plugins.s3] and not in the URL")
    if not _BUCKET.match(parts.netloc):
        problems.append(
            "storage: expected s3://bucket/prefix, with 3 to 63 letters, digits, dots and "
            "hyphens for the bucket; an end point stands in plugins.s3.endpoint"
        )
    if path and not all(map(_is_plain, path.split("/"))):
        problems.append("storage: the prefix after the bucket has segments that are not plain")
    if problems:
        raise ConfigurationError(problems=tuple(problems))
    return Place(parts.netloc, f"{path}/" if path else "")


def _is_plain(segment: str) -> bool:
    return bool(_SEGMENT.match(segment)) and segment not in {".", ".."}
