"""The facts of a package: its record and what documents need, from its bytes and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from repocore.errors import InvalidPackageError
from repocore.model import FileFacts
from repocore.plugins.conda.archives import Package, read_package
from repocore.plugins.conda.descriptions import (
    check_index,
    check_link,
    milliseconds,
    normal_run_exports,
    to_revision_3,
)
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.records import Extra, canonical, pack_shard, record_of
from repocore.ports import StagedContent

__all__ = [
    "ABOUT_LISTS",
    "ABOUT_TEXTS",
    "FACTS",
    "MEDIA_TYPES",
    "SECTIONS",
    "SECTIONS_3",
    "inspect_package",
]

#: What package files are sent as, by their kind.  It is no type of an archive for the ``.conda``,
#: whose parts are, and never one that a proxy would unpack on the way.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "conda": "application/octet-stream",
    "tar.bz2": "application/x-bzip2",
}
#: The list of repodata that a package is in, by its kind.
SECTIONS: Final[Mapping[str, str]] = {"conda": "packages.conda", "tar.bz2": "packages"}
#: The same for a package of the third revision (CEP 48).
SECTIONS_3: Final[Mapping[str, str]] = {"conda": "v3.conda", "tar.bz2": "v3.tar.bz2"}

#: The fields of ``channeldata.json`` that come from ``info/about.json``: texts, and lists of them.
ABOUT_TEXTS: Final = (
    "description",
    "dev_url",
    "doc_source_url",
    "doc_url",
    "home",
    "license",
    "license_url",
    "source_url",
    "spdx_license",
    "summary",
)
ABOUT_LISTS: Final = ("identifiers", "keywords", "tags")
#: Those that come from the paths in a package, and are true or false.
FACTS: Final = (
    "activate.d",
    "binary_prefix",
    "deactivate.d",
    "post_link",
    "post_unlink",
    "pre_link",
    "pre_unlink",
    "text_prefix",
)


def inspect_package(
    file: PackageFile,
    content: StagedContent,
    limits: ArchiveLimits | None = None,
    *,
    subdir: str | None = None,
    now: float | None = None,
) -> FileFacts:
    """Open a package and tell its facts; without ``subdir``, it is the one that it names.

    ``now`` is in seconds since 1970, and by default the clock's.  Raises `InvalidPackageError`
    with one sentence, and nothing else for whatever bytes there are.
    """
    with content.open() as stream:
        package = read_package(stream, content.size, file, limits or ArchiveLimits())
    check_index(package.index, file, subdir, now)
    if package.link is not None:
        check_link(package.link)
    run_exports = normal_run_exports(package.run_exports)
    changed = to_revision_3(package.index)
    index = package.index if changed is None else changed
    record = record_of(index, content.checksums, content.size)
    extra = Extra(
        shard=pack_shard(record, run_exports),
        run_exports=canonical(run_exports),
        channeldata=canonical(_channeldata(package)),
    )
    return FileFacts(
        partition=_subdir(package, subdir),
        release=str(file),
        package=file.name,
        version=file.version,
        media_type=MEDIA_TYPES[file.kind],
        sole=True,
        section=(SECTIONS if changed is None else SECTIONS_3)[file.kind],
        record=canonical(record),
        extra=extra.pack(),
    )


def _subdir(package: Package, subdir: str | None) -> str:
    found = subdir or package.index.get("subdir")
    if found is None:
        message = "The package does not name its subdir; send it to the path of one."
        raise InvalidPackageError(message)
    return found


def _channeldata(package: Package) -> dict[str, Any]:
    """What ``channeldata.json`` says of this package (CEP 38); its timestamp is in seconds."""
    about = package.about or {}
    data: dict[str, Any] = {name: name in package.facts for name in FACTS}
    for name in ABOUT_TEXTS:
        text = _text(about.get(name))
        if text:
            data[name] = text
    for name in ABOUT_LISTS:
        items = about.get(name)
        if items and isinstance(items, list):
            data[name] = [item for item in cast("list[Any]", items) if isinstance(item, str)]
    license_ = package.index.get("license")
    if license_ and "license" not in data:
        data["license"] = license_
    data["timestamp"] = milliseconds(package.index.get("timestamp") or 0) // 1000
    return data


def _text(value: Any) -> str:
    """One line of text; of a list the first, as some builders write several addresses."""
    if isinstance(value, list):
        value = next(iter(cast("list[Any]", value)), None)
    return " ".join(value.split()) if isinstance(value, str) else ""
