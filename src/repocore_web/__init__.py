"""repocore over WSGI: `create_app` makes an application, `mount` puts one beside another.

The adapter is thin: it turns an environ into a `repocore.http.Request`, lets the route's handler
answer with a session of whoever asks, and writes the `repocore.http.Response`.  It names no format.

Neither configures logging: an application that wants our lines as `repocore serve` writes them
calls `configure_logging` with ``registry.settings.logs``.
"""

from __future__ import annotations

from repocore.logs import configure_logging
from repocore_web.app import create_app
from repocore_web.embedding import mount

__all__ = ["configure_logging", "create_app", "mount"]
