"""What grows with the number of recipes and packages, and what must not.

`python -m benchmarks.scale` fills one registry with 1,000 recipes and one with 50,000, asks both
in turn, without a server; then it takes over data folders of a conan_server, a tenth and the
whole.  It prints one table, and ends with 1 where a limit is not kept.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from wsgiref.types import WSGIApplication

import attrs

import repocore
from benchmarks import fill
from benchmarks.profile import BASE, ask, environ
from benchmarks.recipes import Recipe, recipes
from benchmarks.report import file_system
from benchmarks.servers import Workshop
from repocore.config import load_settings
from repocore.plugins.conan.importing import ImportReport, import_tree
from repocore_web import create_app

FEW = 1_000
MOST_SEARCH = 0.020
#: Beyond these, something grows that should not.  Below is noise, and for ever another recipe the
#: pages of the database that do not all fit into SQLite's own cache.
MOST_SAME_RATIO = 1.3
MOST_OTHER_RATIO = 2.0
MOST_MEMORY_RATIO = 1.3
ROUNDS, TURNS = 15, 100


@attrs.frozen
class Line:
    """One row of the table; ``kept`` is None where nothing is asked of it."""

    what: str
    measured: str
    wanted: str = ""
    kept: bool | None = None


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


# -------------------------------------------------------------------------------------- requests


@attrs.frozen
class Site:
    """An application over a number of recipes."""

    count: int
    application: WSGIApplication

    def seconds(self, targets: Iterator[str], turns: int) -> float:
        """The median of some requests, one after another."""
        return median(self.each(targets, turns))

    def each(self, targets: Iterator[str], turns: int) -> list[float]:
        """How long each of some requests took, answer included."""
        taken: list[float] = []
        for target in itertools.islice(targets, turns):
            request = environ("GET", f"{BASE}/v2/conans/{target}")
            start = time.perf_counter()
            ask(self.application, request)
            taken.append(time.perf_counter() - start)
        return taken


def filled(stack: ExitStack, folder: Path, count: int) -> tuple[Site, Site]:
    """Returns the site with few recipes and that with many, which begins as a copy of it."""
    few, many = Workshop(folder / "few"), Workshop(folder / "many")
    fill.prepare_ours(few)
    fill.fill_ours(few, 0, FEW)
    shutil.copytree(few.folder, many.folder)
    fill.copy_ours(many, FEW, count)
    return _open(stack, few, FEW), _open(stack, many, count)


def _open(stack: ExitStack, workshop: Workshop, count: int) -> Site:
    settings = load_settings(data=workshop.data, config=workshop.settings, environ={})
    registry = stack.enter_context(repocore.open_registry(settings=settings))
    return Site(count, create_app(registry))


def latest_lines(few: Site, many: Site) -> Iterator[Line]:
    """Asks both in turn, so that a noisy minute hits both: the same recipes, then all of them."""
    same = [f"{recipe.reference}/latest" for recipe in recipes(0, 200)]
    for kind, most, turns in (
        ("of 200 recipes", MOST_SAME_RATIO, (itertools.cycle(same), itertools.cycle(same))),
        ("of ever another one", MOST_OTHER_RATIO, (_spread(few.count), _spread(many.count))),
    ):
        before, after = _pairs((few, many), turns)
        for site, values in ((few, before), (many, after)):
            yield Line(f"`latest` {kind}, among {site.count:,}", f"{median(values) * 1e6:,.0f} µs")
        ratio = median(b / a for a, b in zip(before, after, strict=True))
        what = f"`latest` {kind}, {many.count:,} to {few.count:,}"
        yield Line(what, f"{ratio:.2f}", f"at most {most}", ratio <= most)


def _pairs(
    sites: tuple[Site, Site], turns: tuple[Iterator[str], Iterator[str]]
) -> tuple[list[float], list[float]]:
    both = list(zip(sites, turns, strict=True))
    for site, targets in both:
        site.seconds(targets, TURNS)
    rounds = [[site.seconds(targets, TURNS) for site, targets in both] for _ in range(ROUNDS)]
    return [first for first, _ in rounds], [second for _, second in rounds]


def _spread(count: int) -> Iterator[str]:
    """Latest of recipes all over the table, for ever."""
    for number in itertools.count(step=7919):  # a prime: it meets every recipe before one twice
        [recipe] = recipes(number % count, number % count + 1)
        yield f"{recipe.reference}/latest"


def search_lines(many: Site) -> Iterator[Line]:
    """Patterns whose name begins with something; then those that mean everything."""
    names = [f"library-{number:05d}" for number in range(0, many.count // 2, 97)]
    for kind, patterns in (
        ("`name/*`", [f"{name}/*" for name in names]),
        ("`name/1.*`", [f"{name}/1.*" for name in names]),
        ("`begin*`, 20 found", [f"{name[:-1]}*" for name in names]),
        ("`beg*`, 200 found", [f"{name[:-2]}*" for name in names]),
        ("a name that is not there", [f"{name}-not/*" for name in names]),
    ):
        targets = itertools.cycle(f"search?q={pattern}" for pattern in patterns)
        many.seconds(targets, 10)
        taken = many.each(targets, 2 * TURNS)
        middle = median(taken)
        measured = f"{middle * 1e3:.1f} ms (19 of 20 within {quantiles(taken, n=20)[-1] * 1e3:.1f})"
        yield Line(
            f"search of {kind} among {many.count:,}",
            measured,
            f"under {MOST_SEARCH * 1e3:.0f} ms",
            middle < MOST_SEARCH,
        )
    seconds = many.seconds(itertools.repeat("search?q=*"), 5)
    yield Line(f"search of `*`, all {many.count:,} answered", f"{seconds * 1e3:,.0f} ms")


# --------------------------------------------------------------------------------- old folders

PACKAGES_EACH = 10
INFO = "[settings]\narch=x86_64\nbuild_type={}\ncompiler=gcc\nos=Linux\n[options]\nshared={}\n"


@attrs.frozen
class OldData:
    """Writes a data folder of conan_server: recipes with ten packages each, a revision a package.

    An archive and a manifest are of their package alone; what packages have in common, the
    conaninfo.txt of their kind, is one file with many names.
    """

    folder: Path
    kinds: Path

    def write(self, packages: int) -> None:
        """Writes so many packages."""
        kinds = list(self._kinds())
        for number, recipe in enumerate(recipes(0, packages // PACKAGES_EACH)):
            reference = self.folder / recipe.reference
            revision = reference / recipe.revision
            export = revision / "export"
            export.mkdir(parents=True)
            for name, body in recipe.files.items():
                (export / name).write_bytes(body)
            self._index(reference, recipe.revision, number)
            for kind in range(PACKAGES_EACH):
                self._package(revision / "package" / f"{kind:040x}", kinds[kind], number)

    def _kinds(self) -> Iterator[Path]:
        self.kinds.mkdir()
        for kind in range(PACKAGES_EACH):
            path = self.kinds / str(kind)
            path.write_text(
                INFO.format("Debug" if kind % 2 else "Release", kind > PACKAGES_EACH / 2)
            )
            yield path

    def _package(self, package: Path, info: Path, number: int) -> None:
        name = f"{number:032x}"
        revision = package / name
        revision.mkdir(parents=True)
        (revision / "conaninfo.txt").hardlink_to(info)
        archive = f"{package.name} {number}".encode() * 20
        (revision / "conan_package.tgz").write_bytes(archive)
        files = {"conaninfo.txt": info.read_bytes(), "lib/liblibrary.a": archive}
        (revision / "conanmanifest.txt").write_bytes(Recipe.manifest(files))
        self._index(package, name, number)

    def _index(self, folder: Path, name: str, number: int) -> None:
        text = f'{{"revisions": [{{"revision": "{name}", "time": {1_795_217_619 + number}.25}}]}}'
        (folder / "revisions.txt").write_text(text)


@attrs.frozen
class Import:
    """What an import of a folder took."""

    report: ImportReport
    seconds: float
    mebibytes: float


def import_lines(folder: Path, packages: int) -> Iterator[Line]:
    """Imports a tenth and the whole, each in a fresh process."""
    peaks: list[float] = []
    for count in (packages // 10, packages):
        place = folder / f"old-{count}"
        place.mkdir()
        start = time.perf_counter()
        OldData(place / "data", place / "kinds").write(count)
        say(f"a folder of {count:,} packages written in {time.perf_counter() - start:.0f} s")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            done = pool.submit(take_over, place).result()
        say(f"imported in {done.seconds:.0f} s, at most {done.mebibytes:.0f} MiB resident")
        if done.report.package_revisions != count or done.report.skipped:
            message = f"{count} packages were written, and this was imported: {done.report}"
            raise RuntimeError(message)
        peaks.append(done.mebibytes)
        rate = f"{done.seconds:,.0f} s, {count / done.seconds:,.0f} packages/s"
        yield Line(f"import of {count:,} packages, {done.report.files:,} files", rate)
        yield Line(f"import of {count:,} packages, peak resident", f"{done.mebibytes:.0f} MiB")
        shutil.rmtree(place)
    ratio = peaks[1] / peaks[0]
    yield Line(
        f"peak of {packages:,} to {packages // 10:,}",
        f"{ratio:.2f}",
        f"at most {MOST_MEMORY_RATIO}",
        ratio <= MOST_MEMORY_RATIO,
    )


def take_over(place: Path) -> Import:
    """Imports a folder into a new installation; runs in a process of its own."""
    workshop = Workshop(place / "ours")
    fill.prepare_ours(workshop)
    settings = load_settings(data=workshop.data, config=workshop.settings, environ={})
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        start = time.perf_counter()
        report = import_tree(session, fill.ADDRESS, place / "data")
        seconds = time.perf_counter() - start
    report = attrs.evolve(report, lock=None, findings=report.findings[:3])
    return Import(report, seconds, peak_mebibytes())


def peak_mebibytes() -> float:
    """The most that this process had in memory at once."""
    # Unlike ru_maxrss, this counts from the start of this program, not of its parent's copy.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmHWM")


# ------------------------------------------------------------------------------------ the program


def table(lines: Sequence[Line]) -> str:
    """The lines as Markdown."""
    words = {None: "", True: "kept", False: "not kept"}
    rows = [
        f"| {line.what} | {line.measured} | {line.wanted} | {words[line.kept]} |" for line in lines
    ]
    return "\n".join(["| row | measured | wanted | |", "|---|---:|---:|---|", *rows, ""])


def main(arguments: Sequence[str]) -> int:
    """Returns 0, or 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--recipes", type=int, default=50_000, help="how many to search among")
    parser.add_argument("--packages", type=int, default=50_000, help="how many to import")
    parser.add_argument("--folder", type=Path, help="where to work; a real disk")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="scale-", dir=options.folder) as name,
        ExitStack() as all_,
    ):
        folder = Path(name)
        cores = len(os.sched_getaffinity(0))
        say(f"{cores} cores, {file_system(folder)}, load average {os.getloadavg()[0]:.1f}")
        few, many = filled(all_, folder, options.recipes)
        lines = [*latest_lines(few, many), *search_lines(many)]
        lines += import_lines(folder, options.packages)
    text = table(lines)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    print(text)
    missed = [line.what for line in lines if line.kept is False]
    if missed:
        say("not kept: " + "; ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
