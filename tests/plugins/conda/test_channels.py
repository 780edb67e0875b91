"""The format, as the core sees it."""

from __future__ import annotations

import io

import pytest

from repocore import (
    ConfigurationError,
    FilePath,
    Grain,
    InvalidPathError,
    RejectedError,
)
from repocore.config.structuring import structure
from repocore.plugins.conda.channels import CondaFormat, is_attestations
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.settings import CondaSettings

MAIN = "conda/main"
FORMAT = CondaFormat(CondaSettings(), ArchiveLimits())


def test_a_path_tells_partition_release_package_and_version() -> None:
    """The subdir, the file, its name and version."""
    facts = FORMAT.locate(FilePath.parse("linux-64/zlib-ng-2.1-h1_0.conda"))
    assert (facts.partition, facts.release) == ("linux-64", "zlib-ng-2.1-h1_0.conda")
    assert (facts.package, facts.version) == ("zlib-ng", "2.1")
    assert facts.sole


def test_patch_instructions_are_a_release_that_may_change() -> None:
    """One for each subdir."""
    facts = FORMAT.locate(FilePath.parse("noarch/patch_instructions.json"))
    assert (facts.section, facts.mutable, facts.sole) == ("patch", True, True)


def test_attestations_are_of_the_release_of_their_package() -> None:
    """Named by a digest behind its name; they are not the release."""
    digest = "ab" * 32
    path = FilePath.parse(f"noarch/tide-1.0-0.conda.sigs.{digest}")
    facts = FORMAT.locate(path)
    assert (facts.partition, facts.release) == ("noarch", "tide-1.0-0.conda")
    assert (facts.package, facts.version, facts.sole) == ("tide", "1.0", False)
    package = FilePath.parse("noarch/tide-1.0-0.conda")
    assert FORMAT.attestations(package, b'{"attestations_sha256":"%b"}' % digest.encode()) == path
    for record in (b"{}", b'{"a":{"attestations_sha256":"x"}}'):
        assert FORMAT.attestations(package, record) is None
    for name in ("patch_instructions.json", "tide-1.0-0.conda.sigs.AB", "tide.sigs." + digest):
        assert name.endswith("json") or not is_attestations(FilePath.parse(f"noarch/{name}"))
    instructions = FilePath.parse("noarch/patch_instructions.json")
    assert FORMAT.attestations(instructions, b"attestations_sha256") is None


@pytest.mark.parametrize(
    "path", ["zlib-1-0.conda", "a/b/zlib-1-0.conda", "Linux-64/zlib-1-0.conda", "noarch/x.json"]
)
def test_other_paths_are_none_of_it(path: str) -> None:
    """With a sentence."""
    with pytest.raises(InvalidPathError):
        FORMAT.locate(FilePath.parse(path))


def test_reading_is_of_a_whole_channel() -> None:
    """An index names every package, so a finer rule would lie."""
    assert FORMAT.read_grain is Grain.REPOSITORY
    assert FORMAT.scope("linux-64") == (None, None)


def test_versions_are_in_the_order_of_clients() -> None:
    """As CEP 33 has it."""
    versions = ["1.0a1", "1.0.dev1", "1.0", "1.0.post1", "1.1", "1!0.1"]
    assert sorted(versions, key=FORMAT.sort_key) == versions


def test_options_of_a_channel_are_checked(channel) -> None:
    """All mistakes at once, before anything is changed."""
    with pytest.raises(RejectedError, match="base_url"):
        channel.admin.repositories.configure(MAIN, options={"bass_url": "x"})
    assert channel.admin.repositories.get(MAIN).options == {}


def test_options_change_every_index_at_once(channel, zlib) -> None:
    """Also where nothing was uploaded since."""
    channel.put(zlib)
    assert "base_url" not in channel.repodata("linux-64")["info"]
    channel.admin.repositories.configure(MAIN, options={"base_url": "https://cdn.example/m"})
    found = channel.repodata("linux-64")
    assert found["info"]["base_url"] == "https://cdn.example/m/linux-64/"
    assert found["repodata_version"] == 2


def test_patch_instructions_have_a_bound(channel) -> None:
    """They are held in memory."""
    small = CondaFormat(CondaSettings(max_patches=10), ArchiveLimits())

    class Content:
        size = 11
        checksums = None

        def open(self):
            return io.BytesIO(b" " * 11)

    with pytest.raises(RejectedError, match="10 bytes"):
        small.inspect(FilePath.parse("noarch/patch_instructions.json"), Content())


def test_limits_are_settings() -> None:
    """A table below the plugin's; what it does not know is a mistake."""
    made = structure({"limits": {"members": 10}, "zstd_level": 9}, CondaSettings, "plugins.conda")
    assert (made.limits.members, made.zstd_level) == (10, 9)
    with pytest.raises(ConfigurationError):
        structure({"limits": {"member": 10}}, CondaSettings, "plugins.conda")
