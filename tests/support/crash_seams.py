"""Every place between two things that a registry does to the world, and a process that ends there.

Nobody lists these seams: the storage, its writers, the catalog and the calls of the operating
system that change files are wrapped, whatever methods they have, and each call has a seam before it
and one behind it.  A write transaction has another one within, where its work is done and nothing
is committed.  A process that ends at a seam by `os._exit` runs no handler and flushes nothing, as
one that is killed.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from repocore import Registry, hookimpl
from repocore.catalog import Catalog, schema
from repocore.catalog.hot import Hot

__all__ = ["ENDED", "Seams", "StorageSeams", "ended", "wrapped"]

#: The status of a process that has come to its seam.
ENDED: Final = 86
#: What changes files; `os.open` and `os.close` have done nothing where one ends behind them.
_CALLS: Final = ("fsync", "link", "mkdir", "rename", "replace", "rmdir", "unlink", "write")
#: Threads that do a part of the work; those that only tell or renew come when they like.
_WORKERS: Final = ("repocore-backup", "repocore-put", "repocore-store")


@attrs.define
class Seams:
    """Counts seams, and ends the process at one of them; 0 is none."""

    fatal: int = 0
    names: list[str] = attrs.field(factory=list)
    counting: bool = False
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def __call__(self, name: str) -> None:
        """Come to a seam."""
        thread = threading.current_thread()
        mine = thread is threading.main_thread() or thread.name.startswith(_WORKERS)
        if not (self.counting and mine):
            return
        with self._lock:
            self.names.append(name)
            if len(self.names) == self.fatal:
                os._exit(ENDED)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call with a seam on either side; a writer or a context that it returns has more."""

        @functools.wraps(call)
        def seamed(*words: Any, **named: Any) -> Any:
            self(f"before {name}")
            found = call(*words, **named)
            self(f"behind {name}")
            if isinstance(found, AbstractContextManager) and not hasattr(found, "read"):
                return self._inside(name, found)
            return Wrapped(found, self, "writer") if hasattr(found, "commit") else found

        return seamed

    @contextmanager
    def _inside(self, name: str, context: AbstractContextManager[Any]) -> Generator[Any]:
        with context as value:
            self(f"within {name}")
            yield value
        self(f"after {name}")


class Wrapped:
    """Something all of whose methods have seams."""

    def __init__(self, inner: Any, seams: Seams, name: str) -> None:
        self._inner, self._seams, self._name = inner, seams, name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name.startswith("_") or not callable(found):
            return found
        return self._seams.around(f"{self._name}.{name}", found)


class StorageSeams:
    """A plugin that puts seams around the storage."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams

    @hookimpl(wrapper=True)
    def repocore_storage(self) -> Generator[None, Any, Any]:
        storage = yield
        return Wrapped(storage, self._seams, "storage")


def wrapped(seams: Seams) -> None:
    """Put seams into this process, which is to end: around its catalogs and its system calls."""
    for kind, place in ((Catalog, "catalog"), (Hot, "hot")):
        for name, method in list(vars(kind).items()):
            if not name.startswith("_") and callable(method) and name not in {"write", "close"}:
                setattr(kind, name, seams.around(f"{place}.{name}", method))
    write = Catalog.write

    def committed(catalog: Catalog, work: Callable[[Any], Any], *origin: Any) -> Any:
        def done(transaction: Any) -> Any:
            result = work(transaction)
            seams("within catalog.write")
            return result

        return write(catalog, done, *origin)

    Catalog.write = seams.around("catalog.write", committed)  # pyright: ignore[reportAttributeAccessIssue]
    # One revision of the tables, within the transaction that makes it.
    schema.step = seams.around("schema.step", schema.step)
    for name in _CALLS:
        setattr(os, name, seams.around(f"os.{name}", getattr(os, name)))


#: Opens the registry that things are done to, with whatever plugins.
Opens = Callable[..., AbstractContextManager[Registry]]
Step = Callable[[Registry], object]


def ended(opens: Opens, steps: list[Step], fatal: int, log: Path, *, opening: bool = False) -> None:
    """Do the steps and say of each that it is done, up to a seam; the body of a process.

    With ``opening`` there are seams while the registry opens, too.
    """
    say = functools.partial(os.write, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    seams = Seams(fatal)
    wrapped(seams)
    seams.counting = opening
    with opens(StorageSeams(seams)) as registry:
        registry.step = lambda name: seams(f"step {name}")
        seams.counting = True
        for step in steps:
            step(registry)
            say(b"done\n")
        seams.counting = False
        say("".join(f"seam {name}\n" for name in seams.names).encode())
        os._exit(0)
