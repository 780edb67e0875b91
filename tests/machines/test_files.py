"""The machine over files finds nothing in a registry of ours, and finds faults that are planted."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from repocore import hookimpl, open_registry
from repocore.config import Settings
from repocore.plugins.filesystem import DiskStorage
from repocore.testing.fakes import MemoryStorage, RecordingDisk
from repocore.testing.machines.files import run_files_machine

STEPS = 25
EXAMPLES = settings().max_examples // 5  # each opens a few registries


class QuickDisk:
    """A local disk without fsync: here processes die, and the machine stays on."""

    def __init__(self, folder):
        self.folder = folder

    @hookimpl
    def repocore_storage(self):
        return DiskStorage(self.folder, RecordingDisk(durable=False))


@contextlib.contextmanager
def on_sqlite():
    with tempfile.TemporaryDirectory() as folder:
        chosen = Settings(data=Path(folder))
        disk = QuickDisk(Path(folder) / "blobs")
        yield lambda plugins: open_registry(settings=chosen, plugins=[disk, *plugins])


def test_files_survive_everything_on_sqlite():
    """Uploads, deletions, collections, failures and deaths of two processes lose nothing."""
    run_files_machine(on_sqlite, settings(max_examples=EXAMPLES, stateful_step_count=STEPS))


@pytest.mark.postgres
def test_files_survive_everything_on_postgresql(postgres_databases, postgres_tables):
    """The same, with the catalog in PostgreSQL."""

    @contextlib.contextmanager
    def installation():
        with (
            postgres_databases.fresh(postgres_tables) as url,
            tempfile.TemporaryDirectory() as folder,
        ):
            chosen = Settings(data=Path(folder), catalog=url)
            disk = QuickDisk(Path(folder) / "blobs")
            yield lambda plugins: open_registry(settings=chosen, plugins=[disk, *plugins])

    few = settings(max_examples=max(EXAMPLES // 5, 4), stateful_step_count=STEPS)
    run_files_machine(installation, few)


# ------------------------------------------------------------------------------------ planted


class Torn(MemoryStorage):
    """A storage that keeps half of every third object."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def open(self, key, start=0, stop=None):
        self.count += 1
        if self.count % 3 == 0:
            self.objects[key] = self.objects.get(key, b"")[: len(self.objects.get(key, b"")) // 2]
        return super().open(key, start, stop)


class Forgetful(MemoryStorage):
    """A storage that does not delete."""

    def delete(self, key):
        """Do nothing."""


class OneKey(MemoryStorage):
    """A storage that ignores generations, as if a digest were enough."""

    def delete(self, key):
        for other in [known for known in self.objects if known.digest == key.digest]:
            del self.objects[other]


@pytest.mark.parametrize(
    "fault",
    # The last needs a chain of steps that chance takes minutes to walk.
    [Forgetful, *(pytest.param(fault, marks=pytest.mark.slow) for fault in (Torn, OneKey))],
)
@pytest.mark.usefixtures("any_failure")
def test_planted_fault_is_found(fault):
    """A storage that loses, keeps or confuses objects does not pass."""

    @contextlib.contextmanager
    def installation():
        storage = fault()

        class Plugin:
            @hookimpl
            def repocore_storage(self):
                return storage

        folder = tempfile.mkdtemp()
        try:
            chosen = Settings(data=Path(folder))
            yield lambda plugins: open_registry(settings=chosen, plugins=[Plugin(), *plugins])
        finally:
            shutil.rmtree(folder)

    hunt = settings(max_examples=200, stateful_step_count=STEPS, phases=[Phase.generate])
    with pytest.raises((AssertionError, LookupError, ExceptionGroup)):
        run_files_machine(installation, settings(hunt, database=None))
