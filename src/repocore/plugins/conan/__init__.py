"""The Conan plugin: a format and its routes, for the 2.x client.

A recipe revision is a release of its reference; a package revision is a release of its package,
and hangs on the recipe revision.  A release is seen once it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from repocore.http import Route
from repocore.markers import hookimpl
from repocore.plugins.conan.revisions import ConanFormat
from repocore.plugins.conan.routes_v2 import routes
from repocore.ports import Format
from repocore.registry import Session

__all__ = ["repocore_formats", "repocore_routes"]


@hookimpl
def repocore_formats() -> Iterable[Format]:
    """The format ``conan``."""
    return (ConanFormat(),)


@hookimpl
def repocore_routes() -> Iterable[Route[Session]]:
    """The revisions protocol, below each Conan repository."""
    return routes()
