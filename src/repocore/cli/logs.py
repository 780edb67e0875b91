"""gunicorn's logger, with lines that hold no secret and no control character."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger as GunicornLogger  # pyright: ignore[reportMissingTypeStubs]

from repocore_web.logs import redact

__all__ = ["Logger"]


class Logger(GunicornLogger):
    """Writes what gunicorn would, redacted."""

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """The parts of an access line."""
        parts = super().atoms(resp, req, environ, request_time)
        return {
            name: redact(value) if isinstance(value, str) else value
            for name, value in parts.items()
        }
