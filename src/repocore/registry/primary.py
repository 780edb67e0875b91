"""The primary as its replica sees it: asked over HTTP, and believed for what it says of itself.

Bytes are believed for their digests alone: whoever stages them compares.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import attrs

from repocore.catalog.replication import FileState, Reached, ReleaseState, Wanted
from repocore.config import ReplicaSettings
from repocore.errors import (
    ReplicaError,
    UpstreamUnavailableError,
)
from repocore.model import Chunks, FilePath
from repocore.registry.tracing import Tracing
from repocore.registry.upstream import UpstreamClient

__all__ = ["Primary", "PrimaryPosition"]

T = TypeVar("T")

_PROTOCOL: Final = 1
_TOP: Final = "api/v1/replication"
#: Bytes of an answer, which are some megabytes of records, and some more.
_MOST: Final = 128 << 20
#: How often some bytes are asked for again from where they broke off.
_TRIES: Final = 5
_STRANGE: Final = "The primary gave an answer that cannot be read."
_LACKS: Final = (
    "does not let this token replicate, or knows of no replicas: allow its account `replicate` on "
    "**, and see that `replica.of` is the URL of the server itself"
)
_ADVICE: Final[Mapping[int, str]] = {
    401: "does not know the token; set `replica.token` to one that is good",
    403: _LACKS,
    404: _LACKS,
}


@attrs.frozen(kw_only=True)
class PrimaryPosition:
    """Where the primary is, by its own clock (µs)."""

    era: str
    moment: int
    access: int
    record: int
    root: str
    numbers: Mapping[str, int]
    #: Entries of a page that it gives at most.
    page: int
    #: Whether the seal that was named is of its history.
    ours: bool
    #: Records that were written after the one that was named, and when the first was (µs).
    untaken: int
    untaken_at: int | None


class Primary:
    """A client of the API of another installation.

    Every method raises `ReplicaError` where it refuses, `UpstreamRefusedError` where its address
    is not to be connected to, and `UpstreamUnavailableError`.
    """

    def __init__(self, settings: ReplicaSettings, tracing: Tracing) -> None:
        if settings.of is None:
            message = "The settings name no primary; set `replica.of` to its URL."
            raise ReplicaError(message)
        self.url = settings.of.rstrip("/")
        self._headers = (
            {} if settings.token is None else {"Authorization": f"Bearer {settings.token}"}
        )
        self._limit: dict[str, int] = {}
        host = urlsplit(self.url).hostname or ""
        self._client = UpstreamClient(
            proxy=settings.proxy,
            ca_bundle=settings.ca_bundle,
            timeout=settings.timeout.total_seconds(),
            # Whoever names a server in the settings may reach it, wherever it is.
            allow=(host, *settings.allow),
            most=_MOST,
            tracing=tracing,
        )

    def position(
        self, record: int = 0, root: str = "", followed: int | None = None
    ) -> PrimaryPosition:
        """Where it is, and what a replica lacks that has followed up to a record."""
        asked: dict[str, Any] = {"record": record, "root": root}
        if followed is not None:
            asked["followed"] = followed
        answer = self._get("", **asked)
        if answer.get("protocol") != _PROTOCOL:
            message = (
                f"{self.url} speaks another protocol than this repocore; "
                "install the same version there and here."
            )
            raise ReplicaError(message)
        names = [field.name for field in attrs.fields(PrimaryPosition)]
        found = _understood(lambda: PrimaryPosition(**{name: answer[name] for name in names}))
        self._limit = {"limit": found.page}
        return found

    def access(self) -> Iterator[tuple[int, Sequence[Mapping[str, Any]]]]:
        """Pages of the rows of access, each with the version that it is of."""
        for page in self._pages("/access"):
            yield _understood(lambda page=page: (page["version"], page["items"]))

    def partitions(self) -> Iterator[Sequence[tuple[int, str, int]]]:
        """Pages of (repository, partition, serial)."""
        names = ("repository", "partition", "serial")
        for page in self._pages("/partitions"):
            yield _understood(
                lambda page=page: [tuple(one[n] for n in names) for one in page["items"]]
            )

    def changes(self, wanted: Sequence[Wanted]) -> tuple[list[ReleaseState], list[Reached]]:
        """What changed in some partitions, and how far the answer comes."""
        body = {"partitions": [attrs.asdict(one) for one in wanted]}
        answer = self._asked(
            lambda: self._client.post_json(self._at("/changes"), body, self._headers)
        )
        return _understood(
            lambda: (
                [_release_of(one) for one in answer["releases"]],
                [Reached(**_known(Reached, one)) for one in answer["partitions"]],
            )
        )

    def loose_files(self, repository: int) -> Iterator[Sequence[FileState]]:
        """Pages of the files of a repository that are of no release."""
        for page in self._pages(f"/repositories/{repository}/files"):
            yield _understood(lambda page=page: [_file_of(one) for one in page["items"]])

    def records(
        self, after: int
    ) -> Iterator[tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]]:
        """Pages of sealed records behind a number, with the seals that end among them."""
        start = {"cursor": _cursor_of(after)} if after else {}
        for page in self._pages("/records", **start):
            yield _understood(lambda page=page: (page["items"], page["seals"]))

    def downloads(self, since: int) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Pages of counts of downloads that grew since a time (µs)."""
        for page in self._pages("/downloads", since=since):
            yield _understood(lambda page=page: page["items"])

    @contextmanager
    def content(self, digest: str) -> Generator[Chunks]:
        """Some bytes by their sha256; what breaks off is asked for again from there."""
        with _Resuming(self._client, self._at(f"/content/{digest}"), self._headers) as stream:
            yield stream

    def _at(self, path: str) -> str:
        return f"{self.url}/{_TOP}{path}"

    def _pages(self, path: str, **query: Any) -> Iterator[Mapping[str, Any]]:
        while True:
            page = self._get(path, **self._limit, **query)
            yield page
            if not page.get("next"):
                return
            query["cursor"] = page["next"]

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        url = f"{self._at(path)}?{urlencode(query)}"
        return self._asked(lambda: self._client.get_json(url, self._headers))

    def _asked(self, ask: Callable[[], Any]) -> dict[str, Any]:
        try:
            answer = ask()
        except UpstreamUnavailableError as error:
            advice = _ADVICE.get(error.status or 0)
            if advice is None:
                raise
            raise ReplicaError(f"{self.url} {advice}.") from error
        if not isinstance(answer, dict):
            raise UpstreamUnavailableError(_STRANGE)
        return cast("dict[str, Any]", answer)


class _Resuming:
    """A body that is asked for again where it breaks off, and nothing was read for too long."""

    def __init__(self, client: UpstreamClient, url: str, headers: Mapping[str, str]) -> None:
        self._client, self._url, self._headers = client, url, headers
        self._read = 0
        self._failed = 0
        self._opened: Any = None
        self._stream: Any = None

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def read(self, size: int = -1, /) -> bytes:
        """Some of it; raises `UpstreamUnavailableError` where it breaks off again and again."""
        while True:
            try:
                chunk = (self._stream or self._open()).read(size)
            except UpstreamUnavailableError as error:
                self._close()
                self._failed += 1
                if self._failed >= _TRIES or not self._read or error.status is not None:
                    raise
            else:
                self._read += len(chunk)
                return chunk

    def _open(self) -> Any:
        self._opened = self._client.open(self._url, self._headers, self._read)
        self._stream = self._opened.__enter__()
        return self._stream

    def _close(self) -> None:
        opened, self._opened, self._stream = self._opened, None, None
        if opened is not None:
            opened.__exit__(None, None, None)


def _cursor_of(number: int) -> str:
    return base64.urlsafe_b64encode(f"[{number}]".encode()).decode().rstrip("=")


def _understood(read: Callable[[], T]) -> T:
    """What an answer says; raises `UpstreamUnavailableError` for one that says something else."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UpstreamUnavailableError(_STRANGE) from error


def _known(kind: type, one: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a kind; a primary of a later version may tell more."""
    return {field.name: one[field.name] for field in attrs.fields(cast("Any", kind))}


def _file_of(one: Mapping[str, Any]) -> FileState:
    FilePath.parse(one["path"])
    return FileState(**_known(FileState, {**one, "digest": one["sha256"]}))


def _release_of(one: Mapping[str, Any]) -> ReleaseState:
    values = _known(ReleaseState, one)
    for name in ("sort_key", "record", "extra"):
        values[name] = base64.b64decode(values[name], validate=True)
    values["files"] = tuple(_file_of(file) for file in values["files"])
    return ReleaseState(**values)
