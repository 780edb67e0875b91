"""The ceilings: applications that do only what no package server can leave out."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["empty", "hashing_writer", "reader", "writer"]

BLOCK = 1 << 18


def empty(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer every request with a small JSON object: the price of the server itself."""
    del environ
    body = (
        b'{"revision": "4a05e2f7d6c14a1f8b0c3d9e7a6b5c4d", '
        b'"time": "2026-11-20T23:33:35.306565+00:00"}'
    )
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]


def reader(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Send one file of BENCH_FOLDER through the server's own file wrapper when it has one."""
    path = Path(os.environ["BENCH_FOLDER"], environ["PATH_INFO"].rpartition("/")[2])
    stream = path.open("rb")
    wrap = environ.get("wsgi.file_wrapper")
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(path.stat().st_size)),
    ]
    start_response("200 OK", headers)
    return wrap(stream, BLOCK) if wrap else iter(lambda: stream.read(BLOCK), b"")


def _store(environ: WSGIEnvironment, seen: Callable[[bytes], object]) -> None:
    """Write beside the target, fsync the file, rename it, fsync the folder."""
    folder = Path(os.environ["BENCH_FOLDER"])
    left = int(environ.get("CONTENT_LENGTH") or 0)
    source = environ["wsgi.input"]
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix="put-")
    with os.fdopen(descriptor, "wb") as target:
        while left and (block := source.read(min(BLOCK, left))):
            seen(block)
            target.write(block)
            left -= len(block)
        target.flush()
        os.fsync(target.fileno())
    final = folder / (environ["PATH_INFO"].strip("/").replace("/", ",") or "root")
    Path(temporary).replace(final)
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _created(start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b""]


def writer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Store the body durably and look at nothing."""
    _store(environ, lambda _block: None)
    return _created(start_response)


def hashing_writer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Store the body durably and take its sha-256 on the way: the ceiling of an honest upload."""
    digest = hashlib.sha256()
    _store(environ, digest.update)
    digest.hexdigest()
    return _created(start_response)
