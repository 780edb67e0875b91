"""Everything that ships with repocore and that a stranger could have written.

Each module is a plugin against the public API, and therefore an example of one.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DEFAULT_PLUGINS"]

#: In the order of registration; the last is asked first.
DEFAULT_PLUGINS: Final = (
    "repocore.plugins.filesystem",
    "repocore_s3",
    "repocore.plugins.threads",
    "repocore.plugins.procrastinate",
    "repocore.plugins.upkeep",
    "repocore.plugins.opentelemetry",
    "repocore.plugins.webhooks",
    "repocore.plugins.trusted_publishing",
    "repocore.plugins.api",
    "repocore.plugins.rules",
    "repocore.plugins.pam",
    "repocore.plugins.ldap",
    "repocore.plugins.htpasswd",
    "repocore.plugins.passwords",
    "repocore.plugins.tokens",
    "repocore.plugins.bearer",
    "repocore.plugins.oauth",
    "repocore.plugins.conan",
    "repocore.plugins.conan.legacy",
    "repocore.plugins.conan.logins",
    "repocore.plugins.conda",
    "repocore.plugins.attestations",
    "repocore.plugins.quetz",
)
