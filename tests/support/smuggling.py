"""Requests whose end two servers may see in different places (RFC 9112, section 11.2)."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import attrs
from front_servers import SIGNED_IN, Front
from front_uploads import CONANS, REVISION

LENGTH = "Content-Length: {length}"
CHUNKED = "Transfer-Encoding: chunked"

# Names of header lines; {length} is that of the whole body, {less} ends it before what is inside.
# First the bodies that end early where chunks count, then those that do where the length counts.
EARLY_CHUNK: dict[str, tuple[str, ...]] = {
    "a length and chunks": (LENGTH, CHUNKED),
    "chunks and a length": (CHUNKED, LENGTH),
    "a length, and chunks in capitals": (LENGTH, "TRANSFER-ENCODING: CHUNKED"),
    "an unknown coding": (LENGTH, "Transfer-Encoding: xchunked"),
    "a coding that is quoted": (LENGTH, 'Transfer-Encoding: "chunked"'),
    "a coding after a tab": (LENGTH, "Transfer-Encoding:\tchunked"),
    "a coding after a vertical tab": (LENGTH, "Transfer-Encoding: \x0bchunked"),
    "a space before the colon": (LENGTH, "Transfer-Encoding : chunked"),
    "a control character before the colon": (LENGTH, "Transfer-Encoding\x0b: chunked"),
    "an underscore": (LENGTH, "Transfer_Encoding: chunked"),
    "a folded coding": (LENGTH, "Transfer-Encoding:\r\n chunked"),
    "a coding folded into another field": (LENGTH, "X-Other: a\r\n Transfer-Encoding: chunked"),
    "a coding after a bare newline": (LENGTH, "X-Other: a\nTransfer-Encoding: chunked"),
    "a coding after a bare return": (LENGTH, "X-Other: a\rTransfer-Encoding: chunked"),
    "chunked, then identity": (LENGTH, "Transfer-Encoding: chunked, identity"),
    "identity, then chunked": (LENGTH, "Transfer-Encoding: identity, chunked"),
    "two codings": (LENGTH, CHUNKED, "Transfer-Encoding: identity"),
    "chunked twice": (CHUNKED, CHUNKED),
    "chunks that are for one hop": (LENGTH, CHUNKED, "Connection: Transfer-Encoding"),
    "a length that is for one hop": (LENGTH, CHUNKED, "Connection: Content-Length"),
    "an empty coding": (LENGTH, "Transfer-Encoding:"),
    "chunks alone": (CHUNKED,),
}
EARLY_LENGTH: dict[str, tuple[str, ...]] = {
    "two lengths": ("Content-Length: {less}", LENGTH),
    "two lengths, the longer first": (LENGTH, "Content-Length: {less}"),
    "the same length twice": (LENGTH, LENGTH),
    "a list of lengths": ("Content-Length: {less}, {length}",),
    "a signed length": ("Content-Length: +{length}",),
    "a negative length": ("Content-Length: -{length}",),
    "a length in hexadecimal": ("Content-Length: 0x{length}",),
    "a length with a space": ("Content-Length: {less} {length}",),
    "a folded length": ("Content-Length:\r\n {length}",),
    "a length folded into another field": ("X-Other: a\r\n Content-Length: {length}",),
    "a length that overflows": ("Content-Length: 18446744073709551616{length}",),
    "a length with an underscore": ("Content_Length: {length}", "Content-Length: {less}"),
    "a space before the length's colon": ("Content-Length : {length}",),
    "no length": (),
    "a length for one hop": (LENGTH, "Connection: keep-alive, Content-Length"),
}
# Sizes of a first chunk that hold something else to whom reads on than to whom gives up.
CHUNK_SIZES = (
    "0x3",
    "3 ",
    "+3",
    "-3",
    "3;a=\r",
    "3;\n",
    "00000000000000000003",
    "10000000000000003",
    "",
    "g",
)

#: Where every server that we know of refuses, and has to.
MUST_BE_REFUSED = {
    "two lengths",
    "two lengths, the longer first",
    "a signed length",
    "a negative length",
    "a length in hexadecimal",
    "a length with a space",
    "a length that overflows",
    "an unknown coding",
    "chunked, then identity",
    "a chunk of 'g'",
    "a chunk of '10000000000000003'",
}

_ANSWER = re.compile(rb"^HTTP/1\.[01] (\d{3}) ", re.MULTILINE)


@attrs.frozen
class Case:
    """A request with another inside, each with an address that nothing else has."""

    name: str
    number: int
    bytes: bytes


def cases(front: Front) -> list[Case]:
    """Every case, for a front."""
    made = []
    for name, fields in EARLY_CHUNK.items():
        made.append(_case(front, len(made), name, fields, b"0\r\n\r\n"))
    for name, fields in EARLY_LENGTH.items():
        made.append(_case(front, len(made), name, fields, b"abc"))
    for size in CHUNK_SIZES:
        start = f"{size}\r\nabc\r\n0\r\n\r\n".encode()
        made.append(_case(front, len(made), f"a chunk of {size!r}", (CHUNKED,), start))
    start = b"3\r\nabc0\r\n\r\n"
    made.append(_case(front, len(made), "a chunk without its end", (CHUNKED,), start))
    start = b"3\nabc\n0\n\n"
    made.append(_case(front, len(made), "chunks with bare newlines", (CHUNKED,), start))
    return made


def _case(front: Front, number: int, name: str, fields: tuple[str, ...], start: bytes) -> Case:
    target = f"{front.prefix}/inside-{number}"
    inside = f"GET {target} HTTP/1.1\r\nHost: {front.place}\r\n\r\n".encode()
    files = f"{CONANS}/outside-{number}/1.0/_/_/revisions/{REVISION}/files"
    body = start + inside
    head = [
        f"PUT {front.prefix}{files}/conanfile.py HTTP/1.1",
        f"Host: {front.place}",
        f"Authorization: {SIGNED_IN['Authorization']}",
        *(field.format(length=len(body), less=len(start)) for field in fields),
        "",
        "",
    ]
    return Case(name, number, "\r\n".join(head).encode("latin-1") + body)


def send(front: Front, case: Case) -> list[int]:
    """The statuses of all answers on one connection."""
    received = b""
    with front.connect() as connection, contextlib.suppress(OSError):
        connection.settimeout(5)
        connection.sendall(case.bytes)
        while chunk := connection.recv(65536):
            received += chunk
            # Whoever has answered once and waits for more will not answer again.
            connection.settimeout(0.5)
    return [int(status) for status in _ANSWER.findall(received) if status != b"100"]


def arrived(log: Path, case: Case) -> bool:
    """Whether the request inside came to us as one of its own."""
    return f"/inside-{case.number} " in log.read_text(encoding="utf-8", errors="replace")
