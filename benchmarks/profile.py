"""Where the time of one request goes: the application called in this process, without a server.

`python -m benchmarks.profile latest` prints microseconds a request, then the functions that took
them.  A missed aim is explained with this.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import io
import itertools
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from wsgiref.types import WSGIApplication, WSGIEnvironment

import repocore
from benchmarks import fill
from benchmarks.load import CLIENT_HEADERS
from benchmarks.recipes import Recipe, recipes
from benchmarks.servers import Workshop
from repocore.config import load_settings
from repocore_web import create_app

BASE = "/conan/main"


def environ(method: str, target: str, body: bytes = b"") -> WSGIEnvironment:
    """Returns what gunicorn would hand over for a request of the real client."""
    path, _, query = target.partition("?")
    fields = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in CLIENT_HEADERS.items()
    }
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "RAW_URI": target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "9300",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:9300",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "HTTP_X_CHECKSUM_SHA1": hashlib.sha1(body).hexdigest(),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **fields,
    }


def ask(application: WSGIApplication, request: WSGIEnvironment) -> None:
    """Sends one request; raises `RuntimeError` for an answer that is not 2xx."""
    statuses: list[str] = []

    def start_response(status: str, headers: object, error: object = None) -> Callable[..., object]:
        del headers, error
        statuses.append(status)
        return lambda _body: None

    answer = application(request, start_response)
    for _ in answer:
        pass
    close = getattr(answer, "close", None)
    if close is not None:
        close()
    if not statuses[0].startswith("2"):
        message = f"{request['RAW_URI']}: {statuses[0]}"
        raise RuntimeError(message)


def requests(kind: str) -> Iterator[WSGIEnvironment]:
    """Yields requests of one kind for ever; raises `KeyError` for an unknown one."""
    some = list(recipes(0, 200))
    targets = {
        "ping": ["/v1/ping"],
        "latest": [f"/v2/conans/{recipe.reference}/latest" for recipe in some],
        "revisions": [f"/v2/conans/{recipe.reference}/revisions" for recipe in some],
        "file": [recipe.target("", "conanfile.py") for recipe in some],
        "search": [f"/v2/conans/search?q={recipe.name}/*" for recipe in some],
        "search-all": ["/v2/conans/search?q=*"],
    }
    if kind == "upload":
        for number in itertools.count():
            recipe = Recipe(f"upload-{number}", "1.0")
            for name, body in recipe.files.items():
                yield environ("PUT", recipe.target(BASE, name), body)
    for target in itertools.cycle(targets[kind]):
        yield environ("GET", BASE + target)


def main(arguments: Sequence[str]) -> int:
    """Returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("kind", help="ping, latest, revisions, file, search, search-all or upload")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--recipes", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=30)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        workshop = Workshop(Path(folder))
        # Everybody may write here, so that an upload needs no token in this process.
        workshop.settings.write_text(fill.SETTINGS.replace('["read"]', '["read", "write"]'))
        fill.fill_ours(workshop, 0, options.recipes)
        settings = load_settings(data=workshop.data, config=workshop.settings, environ={})
        with repocore.open_registry(settings=settings) as registry:
            _profile(create_app(registry), options)
    return 0


def _profile(application: WSGIApplication, options: argparse.Namespace) -> None:
    turns = requests(options.kind)
    for request in itertools.islice(turns, 100):
        ask(application, request)
    start = time.perf_counter()
    for request in itertools.islice(turns, options.requests):
        ask(application, request)
    seconds = time.perf_counter() - start
    print(f"{options.kind}: {seconds / options.requests * 1e6:.0f} microseconds a request")
    profile = cProfile.Profile()
    profile.enable()
    for request in itertools.islice(turns, options.requests):
        ask(application, request)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(options.lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
