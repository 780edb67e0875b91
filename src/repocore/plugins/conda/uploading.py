"""Upload package files: to a channel on a server, some at a time, or into a data folder.

What the channel has already is not sent again, so an upload that was cut off goes on when it is
repeated.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Final

import attrs

from repocore.errors import RejectedError, RepocoreError
from repocore.model import File, FilePath
from repocore.plugins.conda.channel_tree import TreeFile
from repocore.plugins.conda.direct_uploads import DirectUploads
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.local_packages import LocalPackage
from repocore.plugins.conda.origins import Answer
from repocore.plugins.conda.patch_packages import apply_patch_package
from repocore.plugins.conda.remote_channel import RemoteChannel
from repocore.registry import Session, Upload

__all__ = ["Outcome", "Sent", "store_files", "upload_files"]

_BATCH: Final = 100
_TRIES: Final = 5
#: Seconds before the second try; each further one waits twice as long, give or take a half.
_PAUSE: Final = 0.5
#: A source of its own: drawing from it disturbs nobody who has seeded the shared one.
_chance: Final = random.SystemRandom()
_LONGEST: Final = 60.0

#: Statuses after which the same request may do better.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CREATED: Final = frozenset({200, 201, 204})
#: What to do next; the server's own sentence goes before it.
_ADVICE: Final = {
    401: "No token came that is valid: put one into REPOCORE_TOKEN, or name it by --token-env.",
    403: "Where it is for lack of a permission: ask for the permission to write there.",
    404: "There is no such channel, or this account may not see it: check --channel and the token.",
    405: "This address takes no uploads: check --channel.",
    409: "Give it a new build, or try --force where the channel lets files be replaced.",
    413: "It is larger than there is room for: ask the server's administrator.",
    507: "The server's storage is full: tell its administrator.",
}


class Sent(Enum):
    """What became of a file."""

    UPLOADED = "uploaded"
    KNOWN = "known"
    FAILED = "failed"


@attrs.frozen
class Outcome:
    """A file, what became of it, and the reason in a sentence."""

    name: str
    sent: Sent
    size: int = 0
    reason: str = ""


@attrs.define(eq=False)
class _Failed(Exception):  # noqa: N818 - ends one upload, and becomes its outcome
    reason: str


def upload_files(
    channel: RemoteChannel,
    files: Sequence[Path],
    *,
    force: bool = False,
    parallel: int = 4,
    sleep: Callable[[float], object] = time.sleep,
    say: Callable[[str], object] = lambda _: None,
) -> Iterator[Outcome]:
    """Send files, ``parallel`` at a time; yields each when it is through, in their order.

    Large ones go to the server's storage where it offers that, and ``say`` is told now and then
    how far they are.  A file that fails keeps no other from being sent.  Raises nothing of its own.
    """
    direct = DirectUploads(channel, parallel, sleep=sleep, say=say)
    work = _Sending(channel, direct, force, sleep)
    waiting: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(parallel, thread_name_prefix="repocore-send") as pool:
        try:
            for file in files:
                waiting.append(pool.submit(work.send, file))
                if len(waiting) > 2 * parallel:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            direct.close()
    channel.close()


@attrs.frozen
class _Sending:
    """Sending one file after another."""

    channel: RemoteChannel
    direct: DirectUploads
    force: bool
    sleep: Callable[[float], object]

    def send(self, path: Path) -> Outcome:
        """Send a file, and try again what may do better."""
        try:
            package = LocalPackage.at(path)
            last = self._tried(package)
            for turn in range(1, _TRIES):
                if isinstance(last, Sent):
                    break
                self.sleep(_wait(turn, last))
                last = self._tried(package)
            if isinstance(last, Sent):
                return Outcome(path.name, last, package.size)
            raise _Failed(f"Tried {_TRIES} times: {_why(last)}")
        except _Failed as failed:
            return Outcome(path.name, Sent.FAILED, reason=failed.reason)
        except RepocoreError as error:
            return Outcome(path.name, Sent.FAILED, reason=str(error))
        except OSError as error:
            return Outcome(path.name, Sent.FAILED, reason=f"{error.strerror or error}.")

    def _tried(self, package: LocalPackage) -> Sent | Answer | OSError:
        """One try; an answer or an error where another one may do better."""
        try:
            answer = self.channel.ask(package.where)
            if answer.status == 200 and answer.etag.strip('"') == package.digest:  # noqa: PLR2004 - the status itself
                return Sent.KNOWN
            if answer.status == 200 and not self.force:  # noqa: PLR2004 - the same
                raise _Failed(f"It is published with other bytes. {_ADVICE[409]}")
            if answer.status in {200, 404}:
                answer = self.direct.put(package, force=self.force) or self._put(package)
        except (ConnectionError, TimeoutError) as error:
            return error
        if answer.status in _CREATED:
            return Sent.UPLOADED
        if answer.status in _PASSING:
            return answer
        raise _Failed(_why(answer))

    def _put(self, package: LocalPackage) -> Answer:
        with package.path.open("rb") as body:
            return self.channel.put(
                package.where, body, package.size, package.digest, force=self.force
            )


def _wait(turn: int, last: Answer | OSError) -> float:
    asked = last.retry_after if isinstance(last, Answer) else None
    pause = _PAUSE * 2 ** (turn - 1) * _chance.uniform(0.5, 1.5)
    return min(max(pause, asked or 0), _LONGEST)


def _why(last: Answer | OSError) -> str:
    if isinstance(last, OSError):
        return f"the server cannot be reached, {last.strerror or last}."
    if last.status in range(300, 400):
        return "The server sends uploads elsewhere: give the URL that it sends to."
    said = last.sentence.splitlines()[0][:500] if last.sentence else ""
    advice = _ADVICE.get(last.status) or ("" if said else f"The server answered {last.status}.")
    return " ".join(part for part in (said, advice) if part)


def store_files(
    session: Session,
    address: str,
    files: Iterable[Path],
    *,
    force: bool = False,
    workers: int = 2,
) -> Iterator[Outcome]:
    """Put files into a channel of this installation, many in a transaction.

    Requires WRITE; raises what `Files.put_all` raises.
    """
    refused: list[Outcome] = []
    started = datetime.now(UTC)

    def uploads() -> Iterator[Upload]:
        for path in files:
            try:
                PackageFile.parse(path.name)
                size = path.stat().st_size
            except (RejectedError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                refused.append(Outcome(path.name, Sent.FAILED, reason=str(reason)))
                continue
            yield Upload(
                path=FilePath.parse(path.name),
                stream=TreeFile(path.resolve()),
                length=size,
                overwrite=force,
                named=True,
            )

    results = session.files.put_all(address, uploads(), batch=_BATCH, workers=workers)
    for upload, found in results:
        yield from refused
        refused.clear()
        if isinstance(found, File):
            apply_patch_package(session, address, found)
            known = found.created_at < started
            yield Outcome(upload.path.name, Sent.KNOWN if known else Sent.UPLOADED, found.size)
        else:
            yield Outcome(upload.path.name, Sent.FAILED, reason=str(found))
    yield from refused
