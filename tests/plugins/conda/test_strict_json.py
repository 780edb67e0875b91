"""JSON that every client reads alike, or a sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.strict_json import parse, parse_object

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab["), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_honest_json_is_read(value, ascii_only):
    """As Python reads it, escaped or not."""
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode(), "it", 100) == value


@given(st.binary(max_size=60) | st.text('{}[]",:\\u0d8e1-.NaInfty ', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(text):
    """Nothing else is raised, and what is read has a text that every client reads."""
    try:
        value = parse(text, "it")
    except InvalidPackageError:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'[{"a": {"b": 1, "b": 1}}]', "twice"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"1e999", "too large"),
        (b"1" * 30, "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"1." + b"0" * 100, "too long"),
        (b"9" * 10_000_000, "64 bits"),
        (rb'"\ud800"', "surrogate"),
        (rb'{"\udfff": 1}', "surrogate"),
        (b"\xff", "UTF-8"),
        (b"\xef\xbb\xbf{}", "line 1"),
        (b"{}{}", "line 1"),
        (b"", "line 1"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        (b"[" * 40 + b"]" * 40, "deep"),
    ],
    ids=range(18),
)
def test_what_clients_may_differ_on_is_refused(text, reason):
    """T11: with the reason, and the name of the text."""
    with pytest.raises(InvalidPackageError, match=reason) as caught:
        parse(text, "info/x.json")
    assert str(caught.value).startswith("info/x.json")


def test_depth_is_that_of_brackets_outside_of_strings():
    """Many objects are not deep, and neither is a text of brackets."""
    assert parse(b"[" + b"[]," * 5000 + b"[]]", "it")
    assert parse(b'["' + b"[{" * 5000 + b'"]', "it")
    assert parse(rb'["\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]', "it")


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b'"x"'])
def test_an_object_is_wanted(text):
    """And nothing else."""
    with pytest.raises(InvalidPackageError, match="object"):
        parse_object(text, "it")
