"""What an attestation says, without asking who says it (CEP 27).

It is an in-toto statement, in a DSSE envelope, in a Sigstore bundle, and it is about exactly one
file.  Whatever else is in it would be taken for something by someone, and is refused.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final, cast

import attrs

from repocore.errors import UploadRejectedError

__all__ = ["PREDICATE_TYPE", "Statement", "check_statement", "read_statement"]

#: CEP 27: "predicateType MUST be".
PREDICATE_TYPE: Final = "https://schemas.conda.org/attestations-publish-1.schema.json"
_BUNDLE: Final = "application/vnd.dev.sigstore.bundle"
_PAYLOAD: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_KEYS: Final = frozenset({"_type", "subject", "predicateType", "predicate"})


@attrs.frozen(kw_only=True)
class Statement:
    """A statement that is written as CEP 27 has it: that a file was published.

    ``target`` is the URL of the channel that it was published to, where the statement tells;
    ``payload`` are the bytes that were signed.
    """

    name: str
    sha256: str
    target: str | None
    payload: bytes


def read_statement(bundle: Any) -> Statement:
    """The statement in a bundle; raises `UploadRejectedError` for any other form of one."""
    media_type = _object(bundle, "a bundle").get("mediaType")
    if not isinstance(media_type, str) or not media_type.startswith(_BUNDLE):
        raise _refused(f"its mediaType is not that of a Sigstore bundle, {_BUNDLE}")
    envelope = _object(bundle.get("dsseEnvelope"), "its dsseEnvelope")
    if envelope.get("payloadType") != _PAYLOAD:
        raise _refused(f"its payloadType is not {_PAYLOAD}")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(cast("list[Any]", signatures)) != 1:
        raise _refused("its envelope has not exactly one signature")
    payload = _decoded(envelope.get("payload"))
    return _statement(_object(_parsed(payload), "its statement"), payload)


def _statement(statement: dict[str, Any], payload: bytes) -> Statement:
    unknown = sorted(statement.keys() - _KEYS)
    if unknown:
        raise _refused(f"its statement has {unknown[0][:80]!r}, which CEP 27 does not know")
    for key, wanted in (("_type", _STATEMENT), ("predicateType", PREDICATE_TYPE)):
        if statement.get(key) != wanted:
            raise _refused(f"the {key} of its statement is not {wanted}")
    subjects = statement.get("subject")
    if not isinstance(subjects, list) or len(cast("list[Any]", subjects)) != 1:
        raise _refused("its statement has not exactly one subject")
    subject = _object(cast("list[Any]", subjects)[0], "its subject")
    digest = _object(subject.get("digest"), "the digest of its subject")
    if digest.keys() != {"sha256"}:
        raise _refused("the digest of its subject is not a sha256 alone")
    return Statement(
        name=_text(subject.get("name"), "the name of its subject"),
        sha256=_text(digest["sha256"], "the sha256 of its subject"),
        target=_target(statement.get("predicate")),
        payload=payload,
    )


def _target(predicate: Any) -> str | None:
    if predicate is None:
        return None
    fields = _object(predicate, "its predicate")
    if fields.keys() != {"targetChannel"}:
        raise _refused("its predicate is neither null nor a targetChannel alone")
    return _text(fields["targetChannel"], "its targetChannel")


def check_statement(
    statement: Statement, name: str, sha256: str, urls: Sequence[str] | None
) -> None:
    """Whether a statement is about a file of that name and digest.

    ``urls`` are those that its channel has; None asks nothing of the target.  Raises
    `UploadRejectedError`.
    """
    if statement.name != name:
        raise _refused(f"it is about {statement.name[:200]!r}, and the package is {name}")
    if statement.sha256 != sha256:
        raise _refused("it is about other bytes: the sha256 is not that of the package")
    if urls is not None and statement.target is not None and statement.target not in urls:
        raise _refused(
            f"its targetChannel is {statement.target[:200]!r}, and this channel is {urls[0]}, "
            "without a slash at the end"
        )


def _refused(reason: str) -> UploadRejectedError:
    return UploadRejectedError(f"The attestation is not usable: {reason}.")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(f"{what} is not an object of JSON")
    return cast("dict[str, Any]", value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _refused(f"{what} is not a text")
    return value


def _decoded(payload: Any) -> bytes:
    text = _text(payload, "its payload")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise _refused("its payload is not base64") from error


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _refused("its statement is not JSON, or has a key twice") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
