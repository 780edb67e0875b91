"""The conda plugin: channels for conda, mamba, rattler and pixi.

A package is opened once, when it is uploaded; every index is derived from what was found then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from repocore.http import Route
from repocore.markers import hookimpl
from repocore.model import FileFacts, Repository
from repocore.plugins.conda import routes, uploads
from repocore.plugins.conda.channels import CondaFormat
from repocore.plugins.conda.indexers import indexers
from repocore.plugins.conda.patch_packages import check_patch_package
from repocore.plugins.conda.settings import CondaSettings
from repocore.ports import Format, Indexer, StagedContent
from repocore.registry import Session

__all__ = [
    "repocore_formats",
    "repocore_indexers",
    "repocore_routes",
    "repocore_settings",
    "repocore_validate",
]


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.conda]`` is `CondaSettings`."""
    return {"conda": CondaSettings}


@hookimpl
def repocore_formats(plugin_settings: Mapping[str, Any]) -> Iterable[Format]:
    """The format ``conda``."""
    settings: CondaSettings = plugin_settings["conda"]
    return (CondaFormat(settings, settings.limits),)


@hookimpl
def repocore_indexers(plugin_settings: Mapping[str, Any]) -> Iterable[Indexer]:
    """Every document of a channel."""
    return indexers(plugin_settings["conda"])


@hookimpl
def repocore_routes() -> Iterable[Route[Session]]:
    """The paths of each channel, and uploads in the forms of other servers."""
    return chain(routes.routes(), uploads.routes())


@hookimpl
def repocore_validate(
    session: Session, repository: Repository, content: StagedContent, facts: FileFacts
) -> None:
    """Veto a patch package that could not be applied."""
    if repository.format == "conda":
        check_patch_package(session, repository.address, facts, content)
