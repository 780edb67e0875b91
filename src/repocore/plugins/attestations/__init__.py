"""Attestations of conda packages (CEP 27): checked when they come, verified where a policy asks.

A bundle that comes with a package is about that package and nothing else, or both are refused.  Who
signed it is asked where ``[[plugins.attestations.policy]]`` says who counts, against a trust root
of one's own; what no policy covers is kept, and told to be unverified.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping

from repocore.http import Route
from repocore.markers import hookimpl
from repocore.model import FileFacts, FilePath, Repository, Resource
from repocore.plugins.attestations import routes
from repocore.plugins.attestations.policies import Policies
from repocore.plugins.attestations.settings import AttestationSettings
from repocore.ports import StagedContent
from repocore.registry import Registry, Session

__all__ = [
    "repocore_routes",
    "repocore_settings",
    "repocore_startup",
    "repocore_validate",
]

_KINDS = (".conda", ".tar.bz2")

_opened: weakref.WeakKeyDictionary[Registry, Policies] = weakref.WeakKeyDictionary()


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.attestations]`` is `AttestationSettings`."""
    return {"attestations": AttestationSettings}


@hookimpl
def repocore_startup(registry: Registry) -> None:
    """Read the trust roots of the policies; raises `ConfigurationError`."""
    _opened[registry] = Policies(registry.plugin_settings("attestations"))


@hookimpl
def repocore_routes(registry: Registry) -> Iterable[Route[Session]]:
    """Two routes of the API; none where ``web.api`` is off."""
    return tuple(routes.routes(_of)) if registry.settings.web.api else ()


@hookimpl
def repocore_validate(
    session: Session,
    repository: Repository,
    path: FilePath,
    content: StagedContent,
    facts: FileFacts,
) -> None:
    """Veto a package that comes with an attestation of something else, or that lacks one."""
    if repository.format != "conda" or not path.name.endswith(_KINDS):
        return
    resource = Resource(repository.format, repository.name, facts.package, facts.version)
    _of(session).admit(resource, path.name, content.checksums.sha256, facts.attested)


def _of(session: Session) -> Policies:
    return _opened[session.registry]
