"""Say, for as long as some work lasts, that it is being done."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from repocore.catalog import Catalog, leases
from repocore.catalog.rows import micros_of
from repocore.errors import StorageError

__all__ = ["SPAN", "leased"]

_log = logging.getLogger(__name__)

#: Who died is believed to live for so long.
SPAN: Final = timedelta(minutes=5)
_EVERY: Final = 60.0


@contextmanager
def leased(catalog: Catalog, name: str, span: timedelta = SPAN) -> Generator[None]:
    """Hold a lease of that name; any number of people may, each their own.

    It is renewed by a thread, and dropped at the end.  Raises what the catalog raises.
    """
    holder = secrets.token_hex(8)
    hold = partial(leases.hold, name=name, holder=holder, span=micros_of(span))
    catalog.write(hold)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(min(_EVERY, span.total_seconds() / 4)):
            # A catalog that does not answer now may do so at the next time.
            with contextlib.suppress(StorageError):
                catalog.write(hold)

    thread = threading.Thread(target=renew, name=f"repocore-{name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        try:
            catalog.write(lambda t: leases.drop(t, name, holder))
        except StorageError:
            _log.warning("a lease of %s is left to run out", name)
