"""Rows about reading: documents, answers without a body, packages; beside an empty application."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.conda_client import Channel, Wire
from benchmarks.conda_packages import packages
from benchmarks.load import CONNECTIONS, Call, LoadError, closed_loop, head
from benchmarks.rows import Aim, Row

__all__ = ["large_rows", "serving_rows"]

PEER, OURS, EMPTY, NGINX = "quetz", "repocore", "empty app", "nginx"
#: How a reader of conda channels asks.
ASKS = {"User-Agent": "benchmark", "Accept": "*/*", "Accept-Encoding": "gzip"}
SHARE, TIMES, LARGE_SHARE = 0.7, 20.0, 0.9
_SMALL = 200


@attrs.frozen(kw_only=True)
class _Asking:
    port: int
    targets: Sequence[str]
    seconds: float
    headers: Mapping[str, str] = attrs.field(factory=dict)
    #: The status that all answers have to have.
    status: int = 200

    def rate(self) -> float:
        """Requests a second, by wrk."""
        wire = Wire(self.port)
        fields = {**ASKS, **self.headers}
        answer = wire.ask("GET", self.targets[0], headers=fields)
        wire.close()
        if answer.status != self.status:
            raise LoadError(f"{self.targets[0]}: {answer.status}, not {self.status}")
        return _wrk(self.port, self.targets, fields, self.seconds)


def _wrk(port: int, targets: Sequence[str], headers: Mapping[str, str], seconds: float) -> float:
    """As `benchmarks.load.kept_gets`, where an answer without a body is no error."""
    program = shutil.which("wrk")
    if program is None:
        raise LoadError("wrk is not installed")
    fields = ", ".join(f"['{name}'] = '{value}'" for name, value in headers.items())
    paths = ", ".join(f'"{target}"' for target in targets)
    text = f"""
local paths, ready, at = {{{paths}}}, {{}}, 0
init = function()
  for i, path in ipairs(paths) do ready[i] = wrk.format("GET", path, {{{fields}}}) end
end
request = function() at = at % #ready + 1; return ready[at] end
done = function(summary)
  local failed = summary.errors
  io.write(string.format("total %d %d %d\\n", summary.requests, summary.duration,
    failed.status + failed.read + failed.timeout))
end
"""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(text)
        script.flush()
        command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s"]
        command += ["--timeout", "60s", "-s", script.name, f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        if line.startswith("total "):
            requests, duration, failed = (int(word) for word in line.split()[1:])
            if failed or not requests:
                raise LoadError(f"{failed} of {requests} answers for {targets[0]} were errors")
            return requests / duration * 1e6
    raise LoadError(f"wrk reported nothing: {done.stdout[-200:]}")


def serving_rows(
    ours: Channel, peer: Channel | None, plain: Path, *, names: int, seconds: float
) -> Iterator[Row]:
    """Requests a second; ours and the empty application behind one nginx, quetz as it starts.

    That nginx sends the files of the folder ``plain`` as well: what a document's bytes cost alone.
    """
    documents = {OURS: ours, **({PEER: peer} if peer else {})}
    small = [package.path for package in packages(0, _SMALL, names)]
    yield _row(
        "repodata",
        {
            **{
                who: _Asking(port=c.port, targets=[c.document(c.repodata)], seconds=seconds)
                for who, c in documents.items()
            },
            NGINX: _Asking(port=ours.port, targets=[_copied(ours, plain)], seconds=seconds),
        },
        ours,
        seconds,
    )
    yield _row(
        "repodata, unchanged since",
        {
            who: _Asking(
                port=c.port,
                targets=[c.document(c.repodata)],
                seconds=seconds,
                headers=_validator(c),
                # Whoever has no 304 answers in whole.
                status=304 if who == OURS else 200,
            )
            for who, c in documents.items()
        },
        ours,
        seconds,
    )
    yield _row(
        "small packages",
        {
            who: _Asking(
                port=c.port, targets=[f"{c.base}/{path}" for path in small], seconds=seconds
            )
            for who, c in documents.items()
        },
        ours,
        seconds,
    )


def _copied(channel: Channel, folder: Path) -> str:
    """The target of a copy of the repodata that nginx sends by itself."""
    copy = folder / channel.repodata
    copy.write_bytes(channel.read(channel.wire(), channel.repodata))
    return f"/plain/{copy.name}"


def _validator(channel: Channel) -> dict[str, str]:
    answer = Wire(channel.port).ask("GET", channel.document(channel.repodata), headers=ASKS)
    return {"If-None-Match": answer.fields["etag"]}


def _row(name: str, asking: dict[str, _Asking], ours: Channel, seconds: float) -> Row:
    empty = _Asking(port=ours.port, targets=["/empty/"], seconds=seconds)
    runs = {who: each.rate for who, each in {EMPTY: empty, **asking}.items()}
    aims = [
        Aim(
            text=f"{name}: within {SHARE} of an empty app behind the same nginx",
            subject=(name, OURS),
            reference=(name, EMPTY),
            at_least=SHARE,
        ),
        Aim(
            text=f"{name}: {TIMES:g} times {PEER}",
            subject=(name, OURS),
            reference=(name, PEER),
            at_least=TIMES,
        ),
    ]
    return Row(name=name, unit="requests/s", runs=runs, aims=aims)


def large_rows(ours: Channel, files: Mapping[str, Path], seconds: float) -> Iterator[Row]:
    """MiB a second of large packages: nginx by itself, and nginx told by us what to send."""
    for path, plain in files.items():
        name = f"package of {plain.stat().st_size >> 20} MiB"
        runs = {
            NGINX: _bytes(ours.port, f"/plain/{plain.name}", seconds),
            OURS: _bytes(ours.port, f"{ours.base}/{path}", seconds),
        }
        aim = Aim(
            text=f"{name}: within {LARGE_SHARE} of nginx",
            subject=(name, OURS),
            reference=(name, NGINX),
            at_least=LARGE_SHARE,
        )
        yield Row(name=name, unit="MiB/s", runs=runs, aims=[aim])


def _bytes(port: int, target: str, seconds: float) -> Callable[[], float]:
    def run() -> float:
        calls = iter(lambda: Call(opening=head("GET", target)), None)
        return closed_loop(port, calls, seconds=seconds, at_least=CONNECTIONS).mebibytes

    return run
