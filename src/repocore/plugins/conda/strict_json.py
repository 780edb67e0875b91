"""JSON of packages, read without trust.

Python's reader takes what other readers refuse or read otherwise, and a client that fails on one
record fails on the whole index.  So duplicate keys, NaN and infinities, numbers that others have no
room for, half surrogate pairs and deep nesting are refused here, each with a sentence.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any, Final, cast

from repocore.errors import InvalidPackageError

__all__ = ["DECODER", "parse", "parse_object"]

_LONGEST_NUMBER: Final = 64
_INTEGERS: Final = (-(2**63), 2**64 - 1)  # what msgpack can say, and so a shard

# A string without its end reaches to the end of the text, so that looking for it is no work twice.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def parse(text: bytes, what: str, nesting: int = 32) -> Any:
    """The value of a JSON text; raises `InvalidPackageError`, which names ``what`` it is."""
    try:
        if _may_be_deep(text, nesting) and _depth(text) > nesting:
            raise ValueError("it is nested too deeply")
        value = DECODER.decode(text.decode())
        if b"\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except UnicodeEncodeError:
        reason = "it has half of a surrogate pair"
    except json.JSONDecodeError as problem:
        reason = f"{problem.msg.lower()} at line {problem.lineno}, column {problem.colno}"
    except ValueError as problem:
        reason = str(problem)
    else:
        return value
    message = f"{what} is not JSON that every client can read: {reason}."
    raise InvalidPackageError(message)


def parse_object(text: bytes, what: str, nesting: int = 32) -> dict[str, Any]:
    """The same for an object, and nothing else."""
    value = parse(text, what, nesting)
    if not isinstance(value, dict):
        message = f"{what} is not a JSON object."
        raise InvalidPackageError(message)
    return cast("dict[str, Any]", value)


def _may_be_deep(text: bytes, nesting: int) -> bool:
    return text.count(b"[") + text.count(b"{") > nesting


def _depth(text: bytes) -> int:
    brackets = _STRINGS.sub(b"", text).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("an object has a key twice")
    return entries


def _integer(digits: str) -> int:
    least, most = _INTEGERS
    if len(digits) > _LONGEST_NUMBER or not least <= (number := int(digits)) <= most:
        raise ValueError("a number has more than 64 bits")
    return number


def _float(digits: str) -> float:
    if len(digits) > _LONGEST_NUMBER or not math.isfinite(number := float(digits)):
        raise ValueError("a number is too long, or too large")
    return number


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
