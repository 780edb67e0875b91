"""repocore over WSGI: `create_app` makes an application, `mount` puts one beside another.

The adapter is thin: it turns an environ into a `repocore.http.Request`, lets the route's handler
answer with a session of whoever asks, and writes the `repocore.http.Response`.  It names no format.
"""

from __future__ import annotations

from repocore_web.app import create_app
from repocore_web.embedding import mount

__all__ = ["create_app", "mount"]
