"""How ``s3://`` is opened: by which plugin, at what cost, and what it refuses."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import attrs
import pytest
from s3_faults import rapids
from wsgi_calls import call

import repocore
import repocore_s3
from repocore import hookimpl
from repocore.config import PluginSettings, Settings
from repocore.errors import ConfigurationError, StorageError
from repocore_s3.storage import S3Storage
from repocore_web import create_app


def settings(tmp_path, corner, read_only=False, **more):
    return Settings(
        data=tmp_path,
        storage=corner.url,
        read_only=read_only,
        plugins=PluginSettings(tables={"s3": corner.table(**more)}),
    )


def test_a_registry_opens_its_bucket(store, tmp_path):
    """`storage = "s3://…"` is enough, with the table of settings; the probe leaves nothing."""
    corner = store.place()
    with repocore.open_registry(settings=settings(tmp_path, corner)) as registry:
        assert isinstance(registry.storage, S3Storage)
        assert registry.health().storage
    assert corner.names() == []


def test_a_store_that_goes_makes_a_server_unready(store, tmp_path):
    """`/readyz` asks the store; nothing is written to it for that."""
    corner = store.place(retries=0)
    chosen = settings(tmp_path, corner, retries=0, probe=False)
    gone = chosen.storage.replace(store.bucket, "repocore-gone-with-the-tide")
    with repocore.open_registry(settings=chosen) as registry:
        assert call(create_app(registry), "/readyz").status == 200
        assert corner.names() == []

    with repocore.open_registry(settings=attrs.evolve(chosen, storage=gone)) as registry:
        assert call(create_app(registry), "/readyz").status == 503


def test_nothing_is_written_to_a_store_that_is_read_only(store, tmp_path):
    """The probe of a read-only registry reads and lists."""
    with_writes: list[str] = []

    class Watch:
        @hookimpl(wrapper=True)
        def repocore_storage(self, read_only):
            storage = yield
            with_writes.append("no" if read_only else "yes")
            return storage

    with rapids(store.settings.endpoint) as way:
        corner = store.place(endpoint=way.address)
        repocore.open_registry(settings=settings(tmp_path, corner)).close()
        assert {"PUT", "DELETE"} <= set(way.methods())
        way.exchanges.clear()
        chosen = settings(tmp_path, corner, read_only=True)
        repocore.open_registry(settings=chosen, plugins=[Watch()]).close()
        assert set(way.methods()) == {"GET"}
    assert with_writes == ["no"]


def test_no_probe_where_the_settings_say_so(tmp_path):
    """Nothing is asked before somebody needs it."""
    chosen = Settings(
        data=tmp_path,
        storage="s3://harbour",
        plugins=PluginSettings(
            tables={"s3": {"endpoint": "http://127.0.0.1:9", "probe": False, "retries": 0}}
        ),
    )
    with repocore.open_registry(settings=chosen) as registry:
        assert isinstance(registry.storage, S3Storage)
        assert not registry.health().storage


def test_other_schemes_are_left_to_others():
    """Also those that begin alike: fsspec has more of them."""
    for url in ("file:///srv/blobs", "memory://x", "s3a://harbour", "gs://harbour"):
        assert (
            repocore_s3.repocore_storage(url=url, options={}, plugin_settings={}, read_only=False)
            is None
        )


def test_options_have_their_own_table(tmp_path):
    """`storage_options` of another plugin for S3 would be lost without a word."""
    chosen = Settings(data=tmp_path, storage="s3://harbour", storage_options={"key": "x"})
    with pytest.raises(ConfigurationError, match=r"has its settings in \[plugins\.s3\]"):
        repocore.open_registry(settings=chosen)


def test_a_missing_package_is_told(tmp_path, monkeypatch):
    """With the words that bring it."""
    finding = importlib.util.find_spec
    monkeypatch.setattr(
        repocore_s3, "find_spec", lambda name: None if name == "botocore" else finding(name)
    )
    with pytest.raises(ConfigurationError, match=r"pip install 'repocore\[s3\]'"):
        repocore.open_registry(settings=Settings(data=tmp_path, storage="s3://harbour"))


def test_a_registry_elsewhere_loads_no_botocore(tmp_path):
    """Half a second that nobody else pays for."""
    program = (
        "import sys, repocore\n"
        f"repocore.open_registry(data={str(tmp_path)!r}).close()\n"
        "assert 'repocore_s3.settings' in sys.modules\n"
        "assert not {'botocore', 'boto3', 'repocore_s3.storage'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_profile_that_is_not_there(tmp_path):
    """It is looked for when the storage opens."""
    chosen = Settings(
        data=tmp_path,
        storage="s3://harbour",
        plugins=PluginSettings(tables={"s3": {"profile": "nobody"}}),
    )
    with pytest.raises(ConfigurationError, match="no such `profile`"):
        repocore.open_registry(settings=chosen)


def test_a_store_that_does_not_answer(tmp_path):
    """It is not the settings' fault, perhaps."""
    chosen = Settings(
        data=tmp_path,
        storage="s3://harbour",
        plugins=PluginSettings(
            tables={
                "s3": {
                    "endpoint": "http://127.0.0.1:9",
                    "access_key": "k",
                    "secret_key": "s3cret",
                    "retries": 0,
                }
            }
        ),
    )
    with pytest.raises(StorageError, match="does not answer") as told:
        repocore.open_registry(settings=chosen)
    assert "s3cret" not in str(told.value)
