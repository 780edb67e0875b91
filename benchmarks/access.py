"""What permissions cost where there are many: decisions, and pages of what one may read.

`python -m benchmarks.access` opens one registry with 10,000 repositories and 100,000 rules and
bindings and one with 10,000 repositories and 100 of them, and asks both in turn, without a server.
It prints one table, and ends with 1 where a limit is not kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

import attrs
from sqlalchemy import insert

import repocore
from repocore import Action, Principal, Registry, Resource, Rule, Session
from repocore.catalog import Transaction, tables

REPOSITORIES, MANY, FEW = 10_000, 100_000, 100
DECISION, PAGE = 50e-6, 20e-3
ROUNDS, TURNS = 15, 200
_BATCH = 5_000
_HALF = f"conda/r{REPOSITORIES // 2:05d}"


@attrs.frozen
class Site:
    """A registry with so many rules, and somebody who may read a tenth of its repositories."""

    rules: int
    registry: Registry

    def session(self) -> Session:
        """Of somebody in two groups."""
        who = Principal(name="u7", groups=frozenset({"g1", "g2"}), via="benchmark")
        return self.registry.session(who)


def _rows(rules: int) -> Iterator[dict[str, object]]:
    """Ten rules of each repository for ten people and groups; the rest is thinned out."""
    for number in range(rules):
        repository, person = (number // 10) % REPOSITORIES, number % 10
        if rules < REPOSITORIES:
            repository = number * (REPOSITORIES // rules)
        subject = f"group:g{repository % 20}" if person == 9 else f"user:u{person}"
        if person == 7 and repository % 10:
            subject = f"user:other{number}"
        yield {
            "position": number,
            "tier": "site",
            "subject": subject,
            "actions": "read,write",
            "pattern": f"conda/r{repository:05d}/**",
            "effect": "allow",
        }


def _fill(registry: Registry, rules: int) -> None:
    catalog = registry._services.catalog  # noqa: SLF001 - rows by the thousand, as no session makes them
    repositories: list[dict[str, object]] = [
        {
            "format": "conda",
            "name": f"r{number:05d}",
            "mode": "hosted",
            "policy": "{}",
            "description": "",
            "private": False,
            "bytes": 0,
            "created_at": 0,
        }
        for number in range(REPOSITORIES)
    ]
    rows = list(_rows(rules))

    def work(transaction: Transaction) -> None:
        for table, values in ((tables.repositories, repositories), (tables.rules, rows)):
            for start in range(0, len(values), _BATCH):
                transaction.connection.execute(insert(table), values[start : start + _BATCH])
        transaction.bump_access(rules=True, repositories=True)

    catalog.write(work)


def _open(stack: ExitStack, folder: Path, rules: int) -> Site:
    registry = stack.enter_context(repocore.open_registry(data=folder / str(rules)))
    _fill(registry, rules)
    return Site(rules, registry)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _each(site: Site, resources: list[Resource]) -> float:
    session = site.session()
    start = time.perf_counter()
    for resource in resources:
        session.allowed(Action.READ, resource)
    return (time.perf_counter() - start) / len(resources)


def _decisions(sites: list[Site]) -> Iterator[tuple[str, Site, float, float | None]]:
    asked = [
        Resource("conda", f"r{number * 37 % REPOSITORIES:05d}", f"p{number}")
        for number in range(TURNS)
    ]
    for kind, again in (("first time", False), ("again", True)):
        taken: dict[int, list[float]] = {site.rules: [] for site in sites}
        for number in range(ROUNDS):
            for site in sites:
                names = [f"p{number}-{n}" for n in range(TURNS)]
                fresh = [attrs.evolve(one, package=n) for one, n in zip(asked, names, strict=True)]
                taken[site.rules].append(_each(site, asked if again else fresh))
        for site in sites:
            yield f"a decision, {kind}", site, median(taken[site.rules]), DECISION


def _pages(sites: list[Site]) -> Iterator[tuple[str, Site, float, float | None]]:
    first, later = (dict[int, list[float]]((site.rules, []) for site in sites) for _ in range(2))
    for _ in range(ROUNDS):
        for site in sites:
            site.registry.access.readable.clear()
            room = site.session().repositories
            first[site.rules].append(_timed(partial(room.page, limit=100)))
            later[site.rules].append(_timed(partial(room.page, after=_HALF, limit=100)))
    for site in sites:
        yield "a page of 100 that one may read", site, median(later[site.rules]), PAGE
    for site in sites:
        yield "the first such page after a change of access", site, median(first[site.rules]), None


def _changes(sites: list[Site]) -> Iterator[tuple[str, Site, float, float | None]]:
    rule = Rule(subject="user:x", actions=frozenset({Action.READ}), pattern="conda/x/**")
    for site in sites:
        taken: list[float] = []
        admin = site.registry.session(site.registry.admin())
        for _ in range(3):
            admin.accounts.add_rule(rule)
            session = site.session()
            taken.append(_timed(partial(session.allowed, Action.READ, Resource("conda", "x"))))
        yield "the first decision after a change of a rule", site, median(taken), None


def main() -> int:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to work; removed afterwards if absent")
    folder = parser.parse_args().folder
    kept = True
    with ExitStack() as stack:
        where = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sites = [_open(stack, where, rules) for rules in (FEW, MANY)]
        print("| what | rules | measured | at most |\n|---|---:|---:|---:|")
        for measure in (_decisions, _pages, _changes):
            for what, site, value, limit in measure(sites):
                wanted = "" if limit is None else f"{limit * 1e3:g} ms"
                print(f"| {what} | {site.rules:,} | {value * 1e3:.3f} ms | {wanted} |", flush=True)
                kept = kept and (limit is None or value <= limit)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
