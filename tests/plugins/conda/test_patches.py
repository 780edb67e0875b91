"""Patches: instructions are checked before they count, and change only what they name."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st
from release_query import channel, patch, released

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.patches import (
    NOTHING,
    Change,
    changes,
    instructions_of,
    parse_instructions,
)

TAR, CONDA = "a-1.0-h0_0.tar.bz2", "a-1.0-h0_0.conda"


def parsed(**document: Any):
    document = {key.replace("_conda", ".conda"): value for key, value in document.items()}
    return parse_instructions(json.dumps(document).encode())


def patched(instructions, name=CONDA, **record: Any):
    return json.loads(instructions.record(name, json.dumps({"depends": ["x"], **record}).encode()))


def test_fields_are_replaced_whole():
    """New lists take the place of old ones; other fields stay."""
    instructions = parsed(packages_conda={CONDA: {"depends": ["y"], "license": "MIT"}})
    assert patched(instructions, size=7) == {"depends": ["y"], "license": "MIT", "size": 7}


def test_null_takes_a_field_away():
    """As if the package had never said it; what it never said stays unsaid."""
    instructions = parsed(packages_conda={CONDA: {"constrains": None, "features": None}})
    assert patched(instructions, constrains=["z"]) == {"depends": ["x"]}


def test_the_older_kind_of_file_stands_for_both():
    """The newer twin is patched too, and its own entry counts more, field by field."""
    instructions = parsed(
        packages={TAR: {"depends": ["tar"], "license": "MIT"}},
        packages_conda={CONDA: {"depends": ["conda"]}},
    )
    assert patched(instructions, TAR) == {"depends": ["tar"], "license": "MIT"}
    assert patched(instructions, CONDA) == {"depends": ["conda"], "license": "MIT"}
    assert instructions.names == {TAR, CONDA}


def test_the_newer_kind_of_file_stands_for_itself():
    """An entry of it leaves the older twin as it is."""
    instructions = parsed(packages_conda={CONDA: {"depends": []}}, remove=[CONDA], revoke=[CONDA])
    assert TAR not in instructions.names
    assert not instructions.removes(TAR)


def test_a_revoked_package_is_marked_and_cannot_be_installed():
    """It depends on what there is not, after its other patches."""
    instructions = parsed(packages={TAR: {"depends": ["y"]}}, revoke=[TAR])
    for name in (TAR, CONDA):
        record = patched(instructions, name)
        assert record["revoked"] is True
        assert record["depends"] == ["y", "package_has_been_revoked"]


def test_a_removed_package_is_removed_in_both_kinds():
    """The older name means its twin too."""
    instructions = parsed(remove=[TAR])
    assert instructions.removes(TAR)
    assert instructions.removes(CONDA)
    assert not instructions.removes("b-1.0-h0_0.conda")


def test_run_exports_are_in_no_record_of_repodata():
    """They belong to shards and to run_exports.json (CEP 21)."""
    instructions = parsed(
        patch_instructions_version=2, packages_conda={CONDA: {"run_exports": {"weak": ["a"]}}}
    )
    assert patched(instructions) == {"depends": ["x"]}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "are not a JSON object"),
        ({"package": {}}, "no key 'package'"),
        ({"patch_instructions_version": 3}, "version 1 or 2"),
        ({"patch_instructions_version": True}, "version 1 or 2"),
        ({"packages": []}, "'packages' of the patch instructions is not a JSON object"),
        ({"packages": {CONDA: {}}}, "does not end in .tar.bz2"),
        ({"packages.conda": {TAR: {}}}, "does not end in .conda"),
        ({"packages": {TAR: []}}, "is not a JSON object"),
        ({"packages": {TAR: {"depends": "x"}}}, "not a list of texts"),
        ({"packages": {TAR: {"depends": [1]}}}, "not a list of texts"),
        ({"packages": {TAR: {"license": ["MIT"]}}}, "not a text"),
        ({"packages": {TAR: {"depends": ["\ud800"]}}}, "not UTF-8"),
        ({"packages": {TAR: {"run_exports": {}}}}, "needs patch_instructions_version 2"),
        ({"remove": "x"}, "'remove' of the patch instructions is not a list"),
        ({"revoke": ["x"]}, "'x' in 'revoke' of the patch instructions is no package"),
    ],
)
def test_what_nobody_can_apply_is_refused(document, told):
    """One sentence says what is wrong, and where."""
    with pytest.raises(InvalidPackageError, match="atch") as caught:
        parse_instructions(json.dumps(document).encode())
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "field",
    [
        "indexed_timestamp",
        "name",
        "version",
        "build",
        "build_number",
        "sha256",
        "md5",
        "size",
        "subdir",
        "timestamp",
        "url",
        "fn",
        "anything",
    ],
)
def test_what_a_package_is_cannot_be_patched(field):
    """Its bytes, its name and its times are facts, and an unknown field is a mistake."""
    with pytest.raises(InvalidPackageError, match=f"changes '{field}', which no patch can"):
        parsed(packages={TAR: {field: None}})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b'{"remove":[],"remove":[]}',
        b'{"remove":NaN}',
        b"[" * 200_000,
        b"1e999",
        b'{"patch_instructions_version":' + b"1" * 5000 + b"}",
    ],
)
def test_hostile_bytes_are_refused(content):
    """Whatever is sent, the answer is a sentence."""
    with pytest.raises(InvalidPackageError):
        parse_instructions(content)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused(value):
    """Nothing but the one error comes out."""
    document = {"packages": {TAR: value}} if not isinstance(value, list) else {"remove": value}
    with suppress(InvalidPackageError):
        parse_instructions(json.dumps(document).encode())


def test_instructions_are_a_release_of_the_subdir():
    """Where there is none, nothing is patched; a package of that name is none."""
    there = channel()
    there.put("noarch", released("repodata-patches"))
    assert instructions_of(there.query("noarch")) == NOTHING
    there.put("noarch", patch({"remove": [TAR]}))
    assert instructions_of(there.query("noarch")).remove == {TAR}
    assert instructions_of(there.query("linux-64")) == NOTHING


def test_a_dry_run_tells_every_change():
    """File by file and field by field, against what is shown now; nothing is written."""
    there = channel()
    there.put(
        "noarch",
        released("a", depends=["x"], run_exports={"weak": ["a"]}),
        released("b"),
        released("c"),
        released("d"),
        patch({"packages.conda": {"d-1.0-h0_0.conda": {"license": "MIT"}}}),
    )
    instructions = parsed(
        patch_instructions_version=2,
        packages_conda={
            "a-1.0-h0_0.conda": {"depends": ["y"], "run_exports": None},
            "unknown-1.0-0.conda": {"depends": []},
        },
        remove=["b-1.0-h0_0.conda"],
        revoke=["c-1.0-h0_0.tar.bz2"],
    )
    assert list(changes(there.query("noarch"), instructions)) == [
        Change("a-1.0-h0_0.conda", "depends", ["x"], ["y"]),
        Change("a-1.0-h0_0.conda", "run_exports", {"weak": ["a"]}, None),
        Change("b-1.0-h0_0.conda", "removed", False, True),
        Change("c-1.0-h0_0.conda", "depends", [], ["package_has_been_revoked"]),
        Change("c-1.0-h0_0.conda", "revoked", None, True),
        Change("d-1.0-h0_0.conda", "license", "MIT", None),
    ]


def test_the_same_instructions_change_nothing():
    """A dry run of what is in force is empty."""
    there = channel()
    content = {"remove": ["b-1.0-h0_0.conda"], "revoke": ["a-1.0-h0_0.conda"]}
    there.put("noarch", released("a"), released("b"), patch(content))
    same = parse_instructions(json.dumps(content).encode())
    assert list(changes(there.query("noarch"), same)) == []
