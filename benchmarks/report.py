"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import attrs

from benchmarks.rows import Aim, Key, Row

__all__ = ["Report", "describe_machine", "verdict"]


@attrs.define
class Report:
    """Rounds by row and contender, in the order of measurement."""

    machine: str
    rows: list[Row] = attrs.field(factory=list)
    rounds: dict[Key, list[float]] = attrs.field(factory=dict)
    skipped: list[str] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)

    def json(self) -> str:
        """Every single measurement."""
        rows = [
            {
                "row": row.name,
                "unit": row.unit,
                "rounds": {who: self.rounds[row.name, who] for who in row.runs},
            }
            for row in self.rows
        ]
        document: dict[str, Any] = {"machine": self.machine, "notes": self.notes, "rows": rows}
        document["aims"] = [
            {"aim": aim.text, "ratios": ratios(aim, self.rounds), "verdict": verdict_of(aim, self)}
            for aim in self._aims()
        ]
        document["skipped"] = self.skipped
        return json.dumps(document, indent=1)

    def markdown(self) -> str:
        """The table of results, the table of aims, and what was left out."""
        parts = [self.machine, "", *self._results(), "", *self._verdicts()]
        if self.notes:
            parts += ["", *(f"- {note}" for note in self.notes)]
        if self.skipped:
            parts += ["", "Not measured:", "", *(f"- {line}" for line in self.skipped)]
        return "\n".join(parts) + "\n"

    def _results(self) -> list[str]:
        lines = ["| row | contender | median | lowest to highest |", "|---|---|---:|---:|"]
        for row in self.rows:
            for number, who in enumerate(row.runs):
                values = self.rounds[row.name, who]
                title = row.name if number == 0 else ""
                spread = f"{_number(min(values))} to {_number(max(values))}"
                middle = f"{_number(median(values))} {row.unit}"
                lines.append(f"| {title} | {who} | {middle} | {spread} |")
        return lines

    def _verdicts(self) -> list[str]:
        lines = ["| aim | wanted | measured, pair by pair | verdict |", "|---|---:|---:|---|"]
        for aim in self._aims():
            values = ratios(aim, self.rounds)
            if values:
                spread = f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
                lines.append(
                    f"| {aim.text} | {aim.at_least:g} | {spread} | {verdict(aim, values)} |"
                )
        return lines

    def _aims(self) -> list[Aim]:
        return [aim for row in self.rows for aim in row.aims]


def ratios(aim: Aim, rounds: Mapping[Key, Sequence[float]]) -> list[float]:
    """Returns subject by reference, round by round; nothing where one of them is missing."""
    subject = rounds.get(aim.subject, ())
    if aim.reference is None:
        return [value * aim.factor for value in subject]
    reference = rounds.get(aim.reference, ())
    pairs = zip(subject, reference, strict=False)
    return [aim.factor * value / other for value, other in pairs if other]


def verdict(aim: Aim, values: Sequence[float]) -> str:
    """An aim counts, as met or as missed, when the spread does not overlap it."""
    if min(values) >= aim.at_least:
        return "met"
    if max(values) < aim.at_least:
        return "missed"
    return "open: the spread overlaps the aim"


def verdict_of(aim: Aim, report: Report) -> str:
    """The verdict, or that there is none."""
    values = ratios(aim, report.rounds)
    return verdict(aim, values) if values else "not measured"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def describe_machine(folder: Path, *, settings: str) -> str:
    """Returns in neutral words what the figures depend on."""
    cores = len(os.sched_getaffinity(0))
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("gunicorn", "sqlalchemy")
    )
    return (
        f"{cores} shared cores, {platform.system()} on {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}, {versions}, SQLite, "
        f"storage of all contenders on one {file_system(folder)} file system, client on the same "
        f"machine; load average at the start {os.getloadavg()[0]:.1f}. {settings}"
    )


def file_system(folder: Path) -> str:
    """The type of the file system that holds the folder."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, point, found, *_rest = line.split(" ")
        inside = point == "/" or str(folder.resolve()).startswith(f"{point}/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
