"""gunicorn's own lines look like all others, and hold no secret either."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

__all__ = ["Logger"]


class Logger(GunicornLogger):
    """Hands what gunicorn has to say to the handlers of `repocore.logs.configure_logging`."""

    def setup(self, cfg: Any) -> None:
        """Take its handlers away; called anew when the settings are."""
        super().setup(cfg)
        log: logging.Logger = self.error_log
        for handler in list(log.handlers):
            log.removeHandler(handler)
        log.propagate = True
        # As much as the settings say, which are the root's.
        log.setLevel(logging.NOTSET)
