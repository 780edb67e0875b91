"""Names of immutable bytes: digests, checksums, keys of stored objects."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, Self

import attrs

from repocore.errors import ChecksumMismatchError, InvalidPathError

__all__ = ["ALGORITHMS", "NOWHERE", "BlobKey", "Checksums", "Chunks", "Digest", "Hasher"]

#: Hex lengths of the algorithms that formats use.
ALGORITHMS: Final = {"sha256": 64, "sha1": 40, "md5": 32}

#: The generation that readers see of bytes that are known to be damaged: no object has it.
NOWHERE: Final = "0" * 16

_HEX = re.compile(r"[0-9a-f]+\Z")
_KEY = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{16})\Z")


@attrs.frozen(order=True)
class Digest:
    """An algorithm and its lower-case hex; prints ``sha256:…``."""

    algorithm: str
    hex: str

    def __attrs_post_init__(self) -> None:
        if ALGORITHMS.get(self.algorithm) != len(self.hex) or not _HEX.match(self.hex):
            message = "A digest is written algorithm:hex, with sha256, sha1 or md5."
            raise InvalidPathError(message)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``algorithm:hex``; a bare hex is a sha256.  Raises `InvalidPathError`."""
        algorithm, _, value = text.rpartition(":")
        return cls(algorithm or "sha256", value.lower())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@attrs.frozen(kw_only=True)
class Checksums:
    """What is known of some bytes: always sha256, others once somebody needed them."""

    sha256: str
    sha1: str | None = None
    md5: str | None = None

    @property
    def digest(self) -> Digest:
        """The sha256, which names the blob."""
        return Digest("sha256", self.sha256)

    def get(self, algorithm: str) -> str | None:
        """The hex for one algorithm, or None where it was never computed."""
        return {"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5}.get(algorithm)

    def require(self, announced: Iterable[Digest]) -> None:
        """Compare with what a client announced; raises `ChecksumMismatchError`."""
        for digest in announced:
            if self.get(digest.algorithm) != digest.hex:
                message = (
                    f"The content's {digest.algorithm} is not the announced {digest.hex}; "
                    "send the file again."
                )
                raise ChecksumMismatchError(message)


@attrs.frozen
class BlobKey:
    """Where one writing of a blob lies: its sha256 and a generation of 64 random bits.

    A key is never used twice, so a late or repeated delete cannot harm a newer writing of the
    same bytes (the decision record on atomicity has the argument).
    """

    digest: str
    generation: str

    @classmethod
    def make(cls, digest: str) -> Self:
        """A key that was never used before."""
        return cls(digest, secrets.token_hex(8))

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The key of an object's name, or None where the name is not one."""
        match = _KEY.match(name)
        return cls(match[1], match[2]) if match else None

    @property
    def damaged(self) -> bool:
        """Whether the bytes are known to be damaged, so that there is nothing to read."""
        return self.generation == NOWHERE

    def __str__(self) -> str:
        return f"{self.digest}.{self.generation}"


class Chunks(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; ``b""`` is the end."""
        ...


class Hasher:
    """Several checksums of one stream, fed chunk by chunk."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        names = {"sha256", *algorithms}
        # The sums name and compare bytes; sha1 and md5 are what the ecosystems announce.
        self._sums = {name: hashlib.new(name, usedforsecurity=False) for name in sorted(names)}

    def update(self, chunk: bytes) -> None:
        """Add a chunk to every sum."""
        for current in self._sums.values():
            current.update(chunk)

    def checksums(self) -> Checksums:
        """What the bytes so far hash to."""
        return Checksums(**{name: current.hexdigest() for name, current in self._sums.items()})

    def through(self, source: Chunks, size: int) -> Iterator[bytes]:
        """Yield the source's chunks of at most ``size`` bytes, hashing each on its way."""
        while chunk := source.read(size):
            self.update(chunk)
            yield chunk
