"""Statements: exactly what CEP 27 has, and nothing beside it."""

from __future__ import annotations

import contextlib
import copy
import json

import pytest
from hypothesis import given, strategies as st
from own_sigstore import PREDICATE, b64, statement

from repocore.errors import UploadRejectedError
from repocore.plugins.attestations.statements import (
    PREDICATE_TYPE,
    check_statement,
    read_statement,
)

NAME, SHA256 = "tide-1.0-0.conda", "ab" * 32
CHANNEL = "https://packages.example/conda/main"


def bundled(said, **changed):
    """A bundle of a statement, which nobody signed."""
    payload = said if isinstance(said, bytes) else json.dumps(said).encode()
    envelope = {
        "payload": b64(payload),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": "AA=="}],
        **changed,
    }
    media_type = "application/vnd.dev.sigstore.bundle.v0.3+json"
    return {"mediaType": media_type, "verificationMaterial": {}, "dsseEnvelope": envelope}


def refusal(bundle, urls=(CHANNEL,)):
    with pytest.raises(UploadRejectedError) as caught:
        check_statement(read_statement(bundle), NAME, SHA256, urls)
    return str(caught.value)


@pytest.mark.parametrize("target", [None, CHANNEL])
def test_a_statement_is_read(target):
    """With its target where it has one; the type is that of the CEP."""
    found = read_statement(bundled(statement(NAME, SHA256, target)))
    assert (found.name, found.sha256, found.target) == (NAME, SHA256, target)
    assert json.loads(found.payload)["predicateType"] == PREDICATE_TYPE == PREDICATE
    check_statement(found, NAME, SHA256, [CHANNEL])


def test_a_predicate_may_be_left_out():
    """Which is the same as null."""
    said = statement(NAME, SHA256)
    del said["predicate"]
    assert read_statement(bundled(said)).target is None


def changed(path, value):
    said = statement(NAME, SHA256, CHANNEL)
    *above, last = path
    place = said
    for key in above:
        place = place[key]
    place[last] = value
    return said


SUBJECT = {"name": NAME, "digest": {"sha256": SHA256}}


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1", "_type"),
        (("predicateType",), "https://slsa.dev/provenance/v1", "predicateType"),
        (("subject",), [], "exactly one subject"),
        (("subject",), [SUBJECT, SUBJECT], "exactly one subject"),
        (("subject",), SUBJECT, "exactly one subject"),
        (("subject", 0, "name"), "tide-1.0-1.conda", "'tide-1.0-1.conda'"),
        (("subject", 0, "name"), f"noarch/{NAME}", "'noarch/"),
        (("subject", 0, "name"), None, "not a text"),
        (("subject", 0, "digest"), {"sha256": "cd" * 32}, "other bytes"),
        (("subject", 0, "digest"), {"sha256": SHA256.upper()}, "other bytes"),
        (("subject", 0, "digest"), {"sha256": SHA256, "sha512": "ef" * 64}, "a sha256 alone"),
        (("subject", 0, "digest"), {"sha512": "ef" * 64}, "a sha256 alone"),
        (("subject", 0, "digest"), {}, "a sha256 alone"),
        (("predicate",), [], "not an object"),
        (("predicate",), {}, "neither null"),
        (("predicate",), {"targetChannel": CHANNEL, "more": 1}, "neither null"),
        (("predicate", "targetChannel"), None, "not a text"),
        (("predicate", "targetChannel"), f"{CHANNEL}/", "without a slash"),
        (("predicate", "targetChannel"), "https://packages.example/conda/other", "targetChannel"),
        (("predicate", "targetChannel"), CHANNEL.replace("https", "http"), "targetChannel"),
        (("more",), 1, "'more'"),
    ],
)
def test_anything_else_is_refused(path, value, word):
    """With a sentence that says which part of it."""
    sentence = refusal(bundled(changed(path, value)))
    assert word in sentence
    assert sentence.startswith("The attestation is not usable: ")


def test_an_envelope_is_of_its_type_and_has_one_signature():
    """Two signers would be two opinions."""
    said = statement(NAME, SHA256)
    assert "payloadType" in refusal(bundled(said, payloadType="text/plain"))
    assert "one signature" in refusal(bundled(said, signatures=[]))
    assert "one signature" in refusal(bundled(said, signatures=[{}, {}]))
    assert "base64" in refusal(bundled(said, payload="{}"))
    assert "not a text" in refusal(bundled(said, payload=None))


def test_a_bundle_says_that_it_is_one():
    """By its media type."""
    bundle = bundled(statement(NAME, SHA256))
    assert "mediaType" in refusal({**bundle, "mediaType": "application/json"})
    assert "mediaType" in refusal({"dsseEnvelope": bundle["dsseEnvelope"]})
    assert "dsseEnvelope" in refusal({**bundle, "dsseEnvelope": None})
    assert "not an object" in refusal("bundle")


def test_a_key_stands_once():
    """Else two readers would read two statements."""
    text = json.dumps(statement(NAME, SHA256)).replace("{", '{"_type": 1, ', 1)
    assert "a key twice" in refusal(bundled(text.encode()))
    assert "not JSON" in refusal(bundled(b"[" * 100_000))


def test_what_comes_from_another_repository_may_name_that():
    """A copy has other URLs than the statement, which was true when it was made."""
    check_statement(read_statement(bundled(statement(NAME, SHA256, "x"))), NAME, SHA256, None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.sampled_from(["", "dsseEnvelope", "payload", "subject", "digest", "predicate"]))
def test_whatever_comes_is_read_or_refused(value, where):
    """By a sentence, never by a fault of ours."""
    said = copy.deepcopy(statement(NAME, SHA256))
    bundle = bundled(said)
    match where:
        case "":
            bundle = value
        case "dsseEnvelope":
            bundle[where] = value
        case "payload":
            bundle["dsseEnvelope"][where] = value
        case "digest":
            said["subject"][0][where] = value
            bundle = bundled(said)
        case _:
            said[where] = value
            bundle = bundled(said)
    with contextlib.suppress(UploadRejectedError):
        check_statement(read_statement(bundle), NAME, SHA256, [CHANNEL])
        assert value is None
