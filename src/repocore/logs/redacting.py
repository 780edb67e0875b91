"""What may be written down: no secret, and nothing that moves a terminal or forges a line.

Secrets are known in two ways: by where they stand (a field, a parameter, a place in a path or a
URL), and, within a request, by what they are: whoever sent them has told us.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

__all__ = ["HIDDEN", "SECRET_NAMES", "describe", "hide", "printable", "redact"]

#: What stands in the place of a secret.
HIDDEN: Final = "***"

#: Parameters of URLs and forms whose value is one: of ours, of OAuth, and of URLs that a storage
#: has signed (S3, Google, Azure).
SECRET_NAMES: Final = (
    "access_token",
    "api_?key",
    "assertion",
    "awsaccesskeyid",
    "client_assertion",
    "client_secret",
    "code_verifier",
    "csrf",
    "id_token",
    "passwd",
    "password",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-(?:amz|goog)-(?:credential|security-token|signature)",
)
#: These are words of every day elsewhere.
_IN_QUERIES: Final = ("code", "key", "nonce", "state")
_END: Final = r"""\s&;"'<>"""

_SECRETS = re.compile(
    rf"""
    # A token in a path, whichever way its "t" and its slashes are spelled.
    (?P<path>(?:/|%2f)(?:t|%74)(?:/|%2f))(?:(?!%2f)[^/{_END}?])+
    # A user in a URL; as far as the last @ before the path.
    | (?P<user>\b[a-z][a-z0-9+.-]{{0,20}}://)[^/\s"'<>]{{1,500}}(?=@)
    # Fields, as a header has them, as an environ or a dictionary is printed.
    | (?P<cookie>(?<![a-z])(?:set-)?cookie["']?\s*[:=]\s*["']?)[^"'\r\n]+
    | (?P<sent>(?<![a-z])authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|token)\s+)?)[^"'\r\n]+
    | (?P<field>(?<![a-z])x[-_](?:api[-_]key|csrf[-_]token)["']?\s*[:=]\s*["']?)[^\s"',]+
    | (?P<scheme>\b(?:basic|bearer)\s+)[A-Za-z0-9._~+/=-]{{8,}}
    # Parameters; in a URL that is a parameter itself, too.
    | (?P<query>(?:[?&]|%3f|%26)(?:{"|".join(_IN_QUERIES)})(?:=|%3d))(?:(?!%26)[^{_END}])+
    | (?P<named>(?:(?<![a-z0-9])|(?<=%3f)|(?<=%26))
        (?:{"|".join(SECRET_NAMES)})["']?(?:\s*[:=]\s*|%3d))
        (?:"[^"]*"|'[^']*'|(?:(?!%26)[^{_END},)}}\]])+)
    # What is a secret wherever it stands: a token of ours, and one that is signed (RFC 7519).
    | (?P<token>\brpc-)[A-Za-z0-9-]+
    | (?P<signed>\b)eyJ[A-Za-z0-9_-]{{4,}}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
#: Shorter ones are left alone: what is as short stands in any text.
_SHORTEST: Final = 4


def redact(text: str) -> str:
    """The text with every secret replaced by ``***`` and every control character escaped.

    It is for URLs, header lines and messages on their way into a log; idempotent.
    """
    hidden = _SECRETS.sub(lambda found: f"{found[found.lastgroup or 0]}{HIDDEN}", text)
    return printable(hidden)


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, as they are, as a URL spells them and as ``repr`` does."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            for spelled in (secret, quote(secret, safe=""), repr(secret)[1:-1]):
                text = text.replace(spelled, HIDDEN)
    return text


def printable(text: str) -> str:
    """The text in one line: what is neither printable nor a space becomes its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def describe(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """The traceback with a margin before each line, so that no message forges a line of the log."""
    text = hide("".join(traceback.format_exception(error)), secrets)
    return "\n".join(f"  | {redact(line)}" for line in text.splitlines())
