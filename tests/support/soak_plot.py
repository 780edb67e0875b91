"""A plot of a soak, as SVG: a panel for memory, one for descriptors, and where faults were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

import attrs
from soak_watch import Sample

__all__ = ["plot"]

#: Seconds since the load began, and what was done to the fleet: from, to, what.
Window = tuple[float, float, str]

_WIDTH: Final = 860
_HEIGHT: Final = 190
_LEFT: Final = 62
_RIGHT: Final = 28
_GAP: Final = 44
_TOP: Final = 34
_POINTS: Final = 240
#: Colours that people who see fewer of them can tell apart (Okabe and Ito).
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_SHADES: Final = {"store": "#f2d6b8", "restart": "#c9c9c9"}
_MIB: Final = 1 << 20
_NICE: Final = (1, 2, 5)


def plot(samples: Sequence[Sample], windows: Sequence[Window], title: str) -> str:
    """The text of an SVG file: resident memory above, open descriptors below."""
    names = sorted({one.process for one in samples})
    until = max((one.seconds for one in samples), default=1.0)
    drawing = _Drawing(samples, windows, names, until)
    panels = (
        ("resident memory, MiB", [one.resident / _MIB for one in samples]),
        ("open descriptors", [float(one.descriptors) for one in samples]),
    )
    height = _TOP + len(panels) * (_HEIGHT + _GAP) + 40
    box = f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for number, (label, values) in enumerate(panels):
        lines += drawing.panel(values, _TOP + number * (_HEIGHT + _GAP), label)
    lines += _legend(names, height - 22)
    return "\n".join([*lines, "</svg>", ""])


@attrs.frozen
class _Drawing:
    """What all panels have."""

    samples: Sequence[Sample]
    windows: Sequence[Window]
    names: Sequence[str]
    until: float

    def _x(self, seconds: float) -> float:
        return _LEFT + seconds / self.until * (_WIDTH - _LEFT - _RIGHT)

    def panel(self, values: Sequence[float], top: float, label: str) -> Iterator[str]:
        """A number of each sample, over time."""
        step, most = _scale(max(values, default=1.0))
        bottom, inner = top + _HEIGHT, _HEIGHT - 16
        for begin, end, kind in self.windows:
            width = max(self._x(min(end, self.until)) - self._x(begin), 1)
            yield (
                f'<rect x="{self._x(begin):.1f}" y="{top + 16}" width="{width:.1f}" '
                f'height="{inner}" fill="{_SHADES[kind]}"/>'
            )
        yield f'<text x="{_LEFT}" y="{top + 10}" fill="#444">{label}</text>'
        for mark in range(round(most / step) + 1):
            at = bottom - mark * step / most * inner
            yield (
                f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
                f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{mark * step:g}</text>'
            )
        yield from self._minutes(bottom + 15)
        scaled = [bottom - value / most * inner for value in values]
        yield from self._lines(scaled)

    def _minutes(self, at: float) -> Iterator[str]:
        every, _ = _scale(self.until / 60)
        for mark in range(int(self.until / 60 / every) + 1):
            yield (
                f'<text x="{self._x(mark * every * 60):.1f}" y="{at}" '
                f'text-anchor="middle">{mark * every:g} min</text>'
            )

    def _lines(self, heights: Sequence[float]) -> Iterator[str]:
        series: dict[tuple[str, int], list[str]] = {}
        for one, height in zip(self.samples, heights, strict=True):
            points = series.setdefault((one.process, one.pid), [])
            points.append(f"{self._x(one.seconds):.1f},{height:.1f}")
        for (name, _), points in series.items():
            thin = points[:: max(1, len(points) // _POINTS)]
            colour = _COLOURS[self.names.index(name) % len(_COLOURS)]
            yield f'<polyline fill="none" stroke="{colour}" points="{" ".join(thin)}"/>'


def _legend(names: Sequence[str], at: float) -> Iterator[str]:
    place = _LEFT
    for number, name in enumerate(names):
        colour = _COLOURS[number % len(_COLOURS)]
        yield (
            f'<path d="M{place} {at}h16" stroke="{colour}" stroke-width="3"/>'
            f'<text x="{place + 20}" y="{at + 4}">{escape(name)}</text>'
        )
        place += 32 + 6 * len(name)
    for kind, said in (("store", "the store fails"), ("restart", "a server is restarted")):
        yield (
            f'<rect x="{place}" y="{at - 7}" width="14" height="14" fill="{_SHADES[kind]}"/>'
            f'<text x="{place + 18}" y="{at + 4}">{said}</text>'
        )
        place += 32 + 6 * len(said)


def _scale(most: float) -> tuple[float, float]:
    """The distance of marks, of which there are four to ten, and the last one."""
    step = 0.01
    while True:
        for nice in _NICE:
            if most / (step * nice) <= 8:
                marks = int(most / (step * nice)) + 1
                return step * nice, marks * step * nice
        step *= 10
