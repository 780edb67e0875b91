"""Files under attack: uploads, deletions and collections, with deaths between every two steps.

    def test_files():
        run_files_machine(my_installations)

The argument makes a context manager around one new, empty installation; what that yields opens
it with further plugins, and is called for each process that the machine plays.  Two of them act
in turn, also in the middle of each other's work: the registry names each step of it, and there
the machine lets the other one act, or lets this one die.  A dict tells what must be seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any, Final

import attrs
from hypothesis import settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from repocore.errors import FileMissingError, ReleaseMissingError, StorageError
from repocore.markers import hookimpl
from repocore.model import release_key
from repocore.ports import Storage
from repocore.registry import Registry, Session
from repocore.testing.fakes import FaultyStorage

__all__ = ["Crash", "FilesMachine", "MakeInstallation", "OpenRegistry", "run_files_machine"]

OpenRegistry = Callable[[Iterable[object]], Registry]
MakeInstallation = Callable[[], AbstractContextManager[OpenRegistry]]

_ADDRESS: Final = "conan/main"
_PARTITION: Final = "tide/1.0@_/_"
_MANIFEST: Final = "conanmanifest.txt"
_NOW: Final = timedelta(0)

#: The steps of an upload, and of a collection.
_UPLOADING: Final = ("staged", "reserved", "stored", "committed", "relayed")
_COLLECTING: Final = ("marked", "deleted", "forgotten")

_revisions = st.sampled_from(["r1", "r2"])
_names = st.sampled_from(["conanfile.py", _MANIFEST, "metadata/log.txt"])
_bodies = st.sampled_from([b"", b"ebb", b"flow" * 1000])
_processes = st.integers(min_value=0, max_value=1)


class Crash(BaseException):
    """The process dies here; nothing may catch it."""


def run_files_machine(make: MakeInstallation, settings: hypothesis_settings | None = None) -> None:
    """Run the machine over installations that ``make()`` opens; raises on the first fault."""
    machine: Any = partial(FilesMachine, make)
    run_state_machine_as_test(machine, settings=settings or hypothesis_settings())


class _Faults:
    """A plugin that puts a `FaultyStorage` around whatever storage there is."""

    def __init__(self) -> None:
        self.storage: FaultyStorage | None = None

    @hookimpl(wrapper=True)
    def repocore_storage(self) -> Generator[None, Storage, Storage]:
        storage = yield
        self.storage = FaultyStorage(storage)
        return self.storage


@attrs.define
class _Process:
    """One process of the fleet: a registry that can die and come back."""

    open: OpenRegistry
    registry: Registry = attrs.field(init=False)
    session: Session = attrs.field(init=False)
    storage: FaultyStorage = attrs.field(init=False)

    def start(self) -> None:
        faults = _Faults()
        self.registry = self.open([faults])
        self.session = self.registry.session(self.registry.admin())
        if faults.storage is None:
            raise AssertionError("the registry opened no storage")
        self.storage = faults.storage

    def restart(self) -> None:
        self.registry.close()
        self.start()


@attrs.define
class _Model:
    """What must be seen: the files of each revision, and the visible ones, oldest first."""

    revisions: dict[str, dict[str, bytes]] = attrs.field(factory=dict[str, dict[str, bytes]])
    order: list[str] = attrs.field(factory=list[str])

    def put(self, revision: str, name: str, body: bytes) -> None:
        files = self.revisions.setdefault(revision, {})
        files[name] = body
        if name.startswith("metadata/") or not {"conanfile.py", _MANIFEST} <= files.keys():
            return
        if revision in self.order and name != _MANIFEST:
            return
        if self.order[-1:] != [revision]:
            self.order = [known for known in self.order if known != revision]
            self.order.append(revision)

    def delete(self, revision: str) -> None:
        self.revisions.pop(revision, None)
        self.order = [known for known in self.order if known != revision]

    def expire(self) -> None:
        self.revisions = {name: self.revisions[name] for name in self.order}

    @property
    def visible(self) -> dict[str, bytes]:
        return {
            _path(revision, name): body
            for revision in self.order
            for name, body in self.revisions[revision].items()
        }


def _path(revision: str, name: str) -> str:
    return f"tide/1.0/_/_/{revision}/export/{name}"


def _body(name: str, body: bytes) -> bytes:
    if name != _MANIFEST:
        return body
    # Whatever is drawn, the manifest speaks of the recipe alone; it differs by its time.
    line = f"conanfile.py: {hashlib.md5(b'tide', usedforsecurity=False).hexdigest()}"
    return f"{1700000000 + len(body)}\n{line}\n".encode()


class FilesMachine(RuleBasedStateMachine):
    """Two processes on one installation, and the dict that they must agree with."""

    def __init__(self, make: MakeInstallation) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        open_registry = self._stack.enter_context(make())
        self.fleet: list[_Process] = [_Process(open_registry), _Process(open_registry)]
        self.model = _Model()

    @initialize()
    def begin(self) -> None:
        """Both processes start on an empty repository."""
        first, second = self.fleet
        first.start()
        first.session.repositories.create(_ADDRESS)
        second.start()

    # ---------------------------------------------------------------------------- plain work

    @rule(who=_processes, revision=_revisions, name=_names, body=_bodies)
    def put(self, who: int, revision: str, name: str, body: bytes) -> None:
        """An upload that nothing disturbs."""
        self._put(self.fleet[who], revision, name, body)

    @rule(who=_processes, revision=_revisions)
    def delete(self, who: int, revision: str) -> None:
        """A revision is deleted, visible or not."""
        self._delete(self.fleet[who], revision)

    @rule(who=_processes)
    def collect(self, who: int) -> None:
        """Whatever nothing names is collected at once, and unfinished revisions with it."""
        self._collect(self.fleet[who])

    @rule(who=_processes, revision=_revisions)
    def delete_metadata(self, who: int, revision: str) -> None:
        """A file that its revision does not need can be deleted by itself."""
        path = _path(revision, "metadata/log.txt")
        try:
            self.fleet[who].session.files.delete(_ADDRESS, path)
        except FileMissingError:
            assert path not in self.model.visible, "a visible file can be deleted"
        else:
            assert path in self.model.visible, "only a visible file can be deleted"
            del self.model.revisions[revision]["metadata/log.txt"]

    # -------------------------------------------------------------------------------- deaths

    @rule(
        who=_processes,
        revision=_revisions,
        name=_names,
        body=_bodies,
        step=st.sampled_from(_UPLOADING),
    )
    def die_uploading(self, who: int, revision: str, name: str, body: bytes, step: str) -> None:
        """A process dies between two steps of an upload, and starts again."""
        self._die(who, step, lambda process: self._put(process, revision, name, body))

    @rule(who=_processes, step=st.sampled_from(_COLLECTING))
    def die_collecting(self, who: int, step: str) -> None:
        """A process dies between two steps of a collection, and starts again."""
        self._die(who, step, self._collect)

    @rule(
        who=_processes,
        revision=_revisions,
        name=_names,
        body=_bodies,
        call=st.sampled_from(["writer", "write", "commit", "size"]),
        late=st.booleans(),
    )
    def fail_uploading(self, **drawn: Any) -> None:
        """The storage fails: the upload is refused and nothing has changed."""
        who: int = drawn["who"]
        process = self.fleet[who]
        process.storage.fail([drawn["call"]], late=drawn["late"])
        with contextlib.suppress(StorageError):
            self._put(process, drawn["revision"], drawn["name"], drawn["body"])
        process.storage.heal()

    @rule(who=_processes)
    def fail_collecting(self, who: int) -> None:
        """The storage fails while it is cleaned: the next collection goes on."""
        process = self.fleet[who]
        process.storage.fail(["delete"])
        with contextlib.suppress(StorageError):
            self._collect(process)
        process.storage.heal()

    # --------------------------------------------------------------------------- interleaved

    @rule(
        who=_processes,
        revision=_revisions,
        name=_names,
        body=_bodies,
        step=st.sampled_from(_UPLOADING),
    )
    def collect_during_upload(
        self, who: int, revision: str, name: str, body: bytes, step: str
    ) -> None:
        """The other process collects in the middle of an upload.

        A storage that cannot tell a living upload from a dead one sweeps it: a refusal then.
        """
        other = self.fleet[1 - who]
        collect = self._once(self.fleet[who], step, lambda: self._collect(other))
        with contextlib.suppress(StorageError), collect:
            self._put(self.fleet[who], revision, name, body)
        self._check()

    @rule(
        who=_processes,
        revision=_revisions,
        name=_names,
        body=_bodies,
        step=st.sampled_from(_UPLOADING),
    )
    def delete_during_upload(
        self, who: int, revision: str, name: str, body: bytes, step: str
    ) -> None:
        """The other process deletes the revision in the middle of an upload to it."""
        other = self.fleet[1 - who]
        with self._once(self.fleet[who], step, lambda: self._delete(other, revision)):
            self._put(self.fleet[who], revision, name, body)

    @rule(
        who=_processes,
        revision=_revisions,
        names=st.tuples(_names, _names),
        bodies=st.tuples(_bodies, _bodies),
        step=st.sampled_from(_UPLOADING),
    )
    def put_during_upload(self, **drawn: Any) -> None:
        """The other process uploads to the same revision in the middle of an upload."""
        who: int = drawn["who"]
        here, there = self.fleet[who], self.fleet[1 - who]
        (name, other), (body, others) = drawn["names"], drawn["bodies"]
        revision = drawn["revision"]
        with self._once(here, drawn["step"], lambda: self._put(there, revision, other, others)):
            self._put(here, revision, name, body)

    @rule(
        who=_processes,
        revision=_revisions,
        name=_names,
        body=_bodies,
        step=st.sampled_from(_COLLECTING),
    )
    def put_during_collection(
        self, who: int, revision: str, name: str, body: bytes, step: str
    ) -> None:
        """The other process uploads in the middle of a collection."""
        other = self.fleet[1 - who]
        with self._once(self.fleet[who], step, lambda: self._put(other, revision, name, body)):
            self._collect(self.fleet[who])
        self._check()

    # ---------------------------------------------------------------------------- judgement

    @invariant()
    def visible_is_what_was_answered(self) -> None:
        """Each process lists exactly the files of the whole revisions, in their order."""
        for process in self.fleet:
            if not hasattr(process, "session"):
                continue
            listed = [str(file.path) for file in process.session.files.list(_ADDRESS)]
            assert listed == sorted(self.model.visible), "files are lost, half there, or undead"
            found = process.session.releases.list(_ADDRESS, _PARTITION)
            assert [release.name for release in reversed(found)] == self.model.order, "the order"

    @rule(who=_processes)
    def read(self, who: int) -> None:
        """Every visible file has the bytes that were answered."""
        session = self.fleet[who].session
        for path, body in self.model.visible.items():
            with session.files.open(_ADDRESS, path) as stream:
                assert stream.read() == body, f"{path} has other bytes"

    def teardown(self) -> None:
        """At the end all is read, and the check finds nothing."""
        try:
            if hasattr(self.fleet[1], "session"):
                self._judge()
        finally:
            for process in self.fleet:
                if hasattr(process, "registry"):
                    process.registry.close()
            self._stack.close()

    def _judge(self) -> None:
        self.read(0)
        report = self.fleet[1].session.upkeep.check(read_data=True)
        assert report.ok, report.problems
        self._collect(self.fleet[0])
        report = self.fleet[1].session.upkeep.check(read_data=True)
        assert report.ok, report.problems
        assert report.unreferenced == 0, "the collector takes all that nothing names"
        stored = {str(key.digest) for key in self.fleet[0].storage.keys()}  # noqa: SIM118 - no mapping
        named = {hashlib.sha256(body).hexdigest() for body in self.model.visible.values()}
        assert stored == named, "the storage holds what is named, and nothing else"
        self.read(1)

    # ------------------------------------------------------------------------ work, and model

    def _put(self, process: _Process, revision: str, name: str, body: bytes) -> None:
        """An upload, which the model believes when its transaction is through."""
        content = _body(name, body)
        told = process.registry.step

        def watch(step: str) -> None:
            if step == "committed":
                self.model.put(revision, name, content)
            told(step)

        process.registry.step = watch
        try:
            path = _path(revision, name)
            process.session.files.put(_ADDRESS, path, io.BytesIO(content), length=len(content))
        finally:
            process.registry.step = told

    def _delete(self, process: _Process, revision: str) -> None:
        known = revision in self.model.revisions
        try:
            process.session.releases.delete(_ADDRESS, _PARTITION, revision)
        except ReleaseMissingError:
            assert not known, f"{release_key(_PARTITION, revision)} is not there"
        else:
            assert known, f"{release_key(_PARTITION, revision)} is back from the dead"
        self.model.delete(revision)

    def _collect(self, process: _Process) -> None:
        """A collection; unfinished revisions expire before its first step."""
        told = process.registry.step
        expired: list[bool] = []

        def watch(step: str) -> None:
            if not expired:
                expired.append(True)
                self.model.expire()
            told(step)

        process.registry.step = watch
        try:
            process.session.upkeep.collect(grace=_NOW)
        finally:
            process.registry.step = told
            if not expired:
                self.model.expire()

    @contextlib.contextmanager
    def _once(self, process: _Process, step: str, act: Callable[[], None]) -> Generator[None]:
        """Act when the process comes to a step for the first time."""
        told = process.registry.step
        due = [step]

        def watch(name: str) -> None:
            if name in due:
                due.clear()
                act()

        process.registry.step = watch
        try:
            yield
        finally:
            process.registry.step = told

    def _die(self, who: int, step: str, work: Callable[[_Process], None]) -> None:
        process = self.fleet[who]

        def crash() -> None:
            raise Crash

        with contextlib.suppress(Crash), self._once(process, step, crash):
            work(process)
        process.restart()
        self._check()

    def _check(self) -> None:
        """Also what is not visible yet has its bytes."""
        report = self.fleet[0].session.upkeep.check()
        assert report.ok, report.problems
