"""The authorizer: ordered rules from the settings and the catalog.

First an administrator's denies, then a repository's own rules, then the site's, which stop at a
private repository.  The first rule that matches decides; without one it has no opinion, and
without an opinion it is denied.
"""

from __future__ import annotations

from repocore.markers import hookimpl
from repocore.model import Action, Principal, Repository, Resource, Survey
from repocore.model.decisions import decide, survey
from repocore.registry import Registry

__all__ = ["repocore_authorize", "repocore_survey"]


@hookimpl
def repocore_authorize(
    registry: Registry, principal: Principal, action: Action, resource: Resource
) -> bool | None:
    """What the first matching rule says."""
    rules = registry.access.concerning(principal, action, resource.format, resource.repository)
    return decide(rules, principal, action, resource)


@hookimpl
def repocore_survey(
    registry: Registry, principal: Principal, action: Action, repository: Repository
) -> Survey:
    """What the rules say of everything in a repository."""
    rules = registry.access.concerning(principal, action, repository.format, repository.name)
    return survey(rules, principal, action, repository)
