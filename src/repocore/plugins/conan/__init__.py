"""The Conan plugin: a format and its routes, for the clients 1.x and 2.x.

A recipe revision is a release of its reference; a package revision is a release of its package,
and hangs on the recipe revision.  A release is seen once it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from repocore.http import Route
from repocore.markers import hookimpl
from repocore.plugins.conan import routes_v1, routes_v2
from repocore.plugins.conan.revisions import ConanFormat
from repocore.plugins.conan.settings import ConanSettings
from repocore.ports import Format
from repocore.registry import Session

__all__ = ["repocore_formats", "repocore_routes", "repocore_settings"]


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.conan]`` is `ConanSettings`."""
    return {"conan": ConanSettings}


@hookimpl
def repocore_formats() -> Iterable[Format]:
    """The format ``conan``."""
    return (ConanFormat(),)


@hookimpl
def repocore_routes() -> Iterable[Route[Session]]:
    """Both protocols, below each Conan repository."""
    return chain(routes_v2.routes(), routes_v1.routes())
