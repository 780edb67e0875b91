"""The configuration of an old quetz: where its database and files are, or why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from repocore.errors import ConfigurationError, RejectedError
from repocore.plugins.quetz.old_config import ObjectStore, read_old_quetz
from repocore.plugins.quetz.old_database import open_old_database

SQLITE = '[sqlalchemy]\ndatabase_url = "sqlite:///./quetz.sqlite"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("named", ["", "config.toml"])
def test_a_file_or_its_folder(tmp_path, named) -> None:
    """What is relative is so to the deployment."""
    written(tmp_path, SQLITE)
    old = read_old_quetz(tmp_path / named, {})
    assert old.database_url == f"sqlite:///{tmp_path / 'quetz.sqlite'}"
    assert (old.channels, old.objects) == (tmp_path / "channels", None)


def test_files_in_a_bucket(tmp_path) -> None:
    """One for all channels or one each; the secret is not shown."""
    text = (
        '[s3]\naccess_key = "ak"\nsecret_key = "hush"\nbucket_prefix = "p-"\nbucket_suffix = "-s"\n'
    )
    file = written(tmp_path, SQLITE + text)
    old = read_old_quetz(file, {})
    assert old.objects is not None
    assert old.objects.root("main") == "p-main-s"
    assert "hush" not in repr(old)
    old = read_old_quetz(file, {"QUETZ_S3_BUCKET_NAME": "all", "QUETZ_S3_SECRET_KEY": "other"})
    assert old.objects == ObjectStore(
        access_key="ak",
        secret_key="other",
        bucket_name="all",
        bucket_prefix="p-",
        bucket_suffix="-s",
    )
    assert old.objects.root("main") == "all/p-main-s"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[session]\n", "names no database"),
        (SQLITE + '[gcs]\nproject = "x"\n', r"below \[gcs\] are not read"),
        (SQLITE + '[azure_blob]\naccount_name = "x"\n', r"below \[azure_blob\] are not read"),
    ],
)
def test_what_is_not_read_is_told(tmp_path, text, words) -> None:
    """With what to do."""
    with pytest.raises(ConfigurationError, match=words):
        read_old_quetz(written(tmp_path, text), {})


def test_what_is_no_configuration(tmp_path) -> None:
    """A file that is not there, and one that is no TOML."""
    with pytest.raises(RejectedError, match="There is no"):
        read_old_quetz(tmp_path, {})
    with pytest.raises(RejectedError, match="cannot be read"):
        read_old_quetz(written(tmp_path, "no toml"), {})


@pytest.mark.parametrize("url", ["", "mysql://host.example/x", "sqlite:////nowhere/x.sqlite"])
def test_what_is_no_database(url) -> None:
    """Another kind, or none at all."""
    with pytest.raises(RejectedError), open_old_database(url):
        pass


def test_a_database_of_something_else(tmp_path) -> None:
    """A table is missing, or it is no database."""
    file = tmp_path / "x.sqlite"
    for content in (b"", b"no database at all, but long enough to be taken for a file"):
        file.write_bytes(content)
        with pytest.raises(RejectedError), open_old_database(f"sqlite:///{file}"):
            pass
