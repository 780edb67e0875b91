"""A channel on a server, as whoever uploads to it talks to it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from repocore import __version__
from repocore.errors import RejectedError
from repocore.http import Readable
from repocore.plugins.conda.origins import PATIENCE, Answer, Origin

__all__ = ["RemoteChannel"]

#: Where the channels of a repocore are; its API is beside it.
_CONDA: Final = "conda"
_UPLOADS: Final = "api/v1/uploads"
#: Bytes of an answer of the API: of many signed URLs.
_MOST: Final = 1 << 20


class RemoteChannel:
    """The channel at a URL, for any number of threads.

    Credentials are a token, or what the URL has before its host; they are in no message.  Raises
    `RejectedError` for a URL that is not one of HTTP.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        message = "A channel's URL is http:// or https://, a host, and the path of the channel."
        if parts.query or parts.fragment:
            raise RejectedError(message)
        try:
            self._origin = Origin(parts)
        except RejectedError as error:
            raise RejectedError(message) from error
        self._path = parts.path.rstrip("/")
        self._headers = {"User-Agent": f"repocore/{__version__}", **_credentials(parts, token)}

    @property
    def name(self) -> str:
        """The last segment of its path: what the channel is called."""
        return unquote(self._path.rpartition("/")[2])

    @property
    def scheme(self) -> str:
        """The scheme: http, or https."""
        return self._origin.scheme

    def close(self) -> None:
        """Close what is open; idempotent, and the next request opens anew."""
        self._origin.close()

    def ask(self, path: str) -> Answer:
        """HEAD of a file of the channel; raises `OSError` where nobody answers."""
        return self._exchange("HEAD", path, None, {})

    def put(
        self, path: str, body: Readable, size: int, sha256: str, *, force: bool = False
    ) -> Answer:
        """PUT a body of that size and digest; raises `OSError` where nobody answers."""
        headers = {"Content-Length": str(size), "X-Checksum-Sha256": sha256}
        return self._put(path, body, headers, force=force)

    def complete(
        self, path: str, upload: str, sha256: str, *, patience: float, force: bool = False
    ) -> Answer:
        """PUT without a body: that arrived as a direct upload, and has this digest."""
        headers = {
            "Content-Length": "0",
            "X-Checksum-Sha256": sha256,
            "X-Repocore-Upload": upload,
        }
        return self._put(path, None, headers, force=force, patience=patience)

    def _put(
        self,
        path: str,
        body: Readable | None,
        headers: dict[str, str],
        *,
        force: bool,
        patience: float = PATIENCE,
    ) -> Answer:
        headers = {"Content-Type": "application/octet-stream", **headers}
        target = f"{path}?force=true" if force else path
        return self._exchange("PUT", target, body, headers, patience)

    # --------------------------------------------------------------------------- direct uploads

    def offer(self) -> Answer | None:
        """What the server's API says of direct uploads; None where it would not have one."""
        return self._api("GET", "")

    def begin(self, path: str, size: int, sha256: str) -> Answer | None:
        """Begin a direct upload of a file, or go on with it."""
        address = f"{_CONDA}/{self.name}"
        wanted = {"repository": address, "path": path, "size": size, "sha256": sha256}
        return self._api("POST", "", wanted)

    def forget(self, upload: str) -> Answer | None:
        """Give a direct upload up."""
        return self._api("DELETE", f"/{quote(upload, safe='')}")

    def _api(self, method: str, rest: str, value: Any = None) -> Answer | None:
        top, _, kind = self._path.rpartition("/")[0].rpartition("/")
        if kind != _CONDA:
            return None
        body = b"" if value is None else json.dumps(value).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        if value is not None:
            headers["Content-Length"] = str(len(body))
        return self._origin.exchange(
            method, f"{top}/{_UPLOADS}{rest}", io.BytesIO(body), headers, most=_MOST
        )

    def _exchange(
        self,
        method: str,
        path: str,
        body: Readable | None,
        headers: dict[str, str],
        patience: float = PATIENCE,
    ) -> Answer:
        target, _, query = path.partition("?")
        url = f"{self._path}/{quote(target, safe='/+!')}" + (f"?{query}" if query else "")
        fields = {**self._headers, **headers}
        return self._origin.exchange(method, url, body, fields, patience=patience)


def _credentials(parts: SplitResult, token: str | None) -> dict[str, str]:
    if token:
        return {"Authorization": f"Bearer {token}"}
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
