"""The folder of a static channel: which index counts, and what is not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from static_channel import StaticChannel

from repocore.errors import RejectedError
from repocore.plugins.conda.channel_tree import ChannelTree, RunExports, TreeFile

ZLIB = "zlib-1.3-h0_0.conda"


@pytest.fixture
def channel(tmp_path) -> StaticChannel:
    made = StaticChannel(tmp_path / "main")
    made.add(ZLIB, "linux-64")
    made.add("old-1.0-0.tar.bz2", "linux-64")
    return made


def described(channel: StaticChannel) -> dict[str, dict]:
    [subdir] = [one for one in ChannelTree.at(channel.folder).subdirs() if one.name == "linux-64"]
    found = subdir.described()
    assert found is not None
    return {one.name: one.record for one in found}


@pytest.mark.parametrize("suffix", ["", ".zst", ".bz2"])
def test_every_encoding_is_read(channel, suffix) -> None:
    """Whichever there is; pretty-printed as well."""
    channel.index(name=f"repodata.json{suffix}", pretty=True)
    assert described(channel) == channel.records["linux-64"]


def test_records_from_before_patches_count_more(channel) -> None:
    """The patches come along, and are applied here."""
    channel.index(name="repodata_from_packages.json.bz2")
    channel.records["linux-64"][ZLIB] = {"patched": True}
    channel.index(name="repodata.json")
    assert "patched" not in described(channel)[ZLIB]


def test_other_folders_are_passed_over(channel) -> None:
    """Only folders named like subdirs, and no links to folders."""
    (channel.folder / "icons").mkdir()
    (channel.folder / "osx-64").symlink_to(channel.folder / "linux-64")
    assert [one.name for one in ChannelTree.at(channel.folder).subdirs()] == ["linux-64"]


def test_a_subdir_without_an_index_says_so(channel) -> None:
    """That is not an index without packages."""
    [subdir] = ChannelTree.at(channel.folder).subdirs()
    assert subdir.described() is None
    assert sorted(subdir.packages()) == ["old-1.0-0.tar.bz2", ZLIB]


def test_what_is_no_channel_is_refused(tmp_path) -> None:
    """With the channels that are below it, where quetz keeps them."""
    with pytest.raises(RejectedError, match="There is no folder"):
        ChannelTree.at(tmp_path / "nothing")
    with pytest.raises(RejectedError, match="is no channel"):
        ChannelTree.at(tmp_path)
    for name in ("b", "a"):
        (tmp_path / "channels" / name / "noarch").mkdir(parents=True)
    with pytest.raises(RejectedError, match=r"holds the channels a, b; name one: .*/channels/a\."):
        ChannelTree.at(tmp_path)
    ChannelTree.at(tmp_path / "channels" / "a")


@pytest.mark.parametrize("name", ["repodata.json.zst", "repodata.json.bz2"])
@pytest.mark.parametrize("content", [b"not compressed", b""])
def test_what_cannot_be_decompressed_is_refused(channel, name, content) -> None:
    """Damaged or empty, in a sentence."""
    (channel.folder / "linux-64" / name).write_bytes(content)
    with pytest.raises(RejectedError, match="anew"):
        described(channel)


def test_only_plain_files_are_opened(tmp_path) -> None:
    """No link is followed, and no pipe is waited for."""
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "nothing"):
        file = TreeFile(tmp_path / name)
        assert file.status() is None
        with pytest.raises(RejectedError, match=name):
            file.read(10)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_has_no_descriptor_before_and_after_it_is_read(tmp_path) -> None:
    """So that thousands can wait for their turn."""
    (tmp_path / "file").write_bytes(b"four")
    file = TreeFile(tmp_path / "file")
    before = descriptors()
    assert file.read(3) == b"fou"
    assert descriptors() == before + 1
    assert (file.read(3), file.read(3), file.read(3)) == (b"r", b"", b"")
    assert descriptors() == before


def test_run_exports_are_read_as_far_as_they_are_asked_for() -> None:
    """In whatever order; what nobody lists is unknown, and what is listed without any is none."""
    entries = iter(
        [
            ("packages", "a", {"run_exports": {"weak": ["z"]}}),
            ("packages", "b", {"run_exports": {}}),
            ("packages", "c", {}),
            ("packages", "d", {"run_exports": {}}),
        ]
    )
    found = RunExports(entries)
    assert found.of("b") == b"{}"
    assert found.of("a") == b'{"weak":["z"]}'
    assert next(entries)[1] == "c"
    assert found.of("d") == b"{}"
    assert found.of("e") is None
    assert RunExports(None).of("a") is None


def test_channeldata_is_read_by_name(channel) -> None:
    """And is not missed where there is none."""
    tree = ChannelTree.at(channel.folder)
    assert tree.channeldata() == {}
    text = b'{"channeldata_version":1,"packages":{"zlib":{"summary":"s"}},"subdirs":["noarch"]}'
    (channel.folder / "channeldata.json").write_bytes(text)
    assert tree.channeldata() == {"zlib": b'{"summary":"s"}'}
