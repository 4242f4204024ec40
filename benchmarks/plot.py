"""Lines on paper: a few series in panels side by side, as SVG written by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 360
_HEIGHT: Final = 260
_LEFT: Final = 52
_RIGHT: Final = 16
_TOP: Final = 36
_BOTTOM: Final = 64
_COLOURS: Final = ("#1f5fa8", "#b3451d", "#3d7a3d", "#6b4a9b")
_TICKS: Final = 4
_LABELS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Series:
    """One line with its name."""

    name: str
    across: Sequence[float]
    up: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes; the one that goes up begins at zero."""

    title: str
    series: Sequence[Series]


def svg(panels: Sequence[Panel], *, across: str) -> str:
    """The panels side by side; `across` names what all of them are drawn against."""
    drawn = [line for number, panel in enumerate(panels) for line in _panel(panel, number * _WIDTH, across)]
    width = _WIDTH * len(panels)
    size = f'width="{width}" height="{_HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
            f'<rect {size} fill="white"/>',
            *drawn,
            "</svg>",
            "",
        ]
    )


def _panel(panel: Panel, left: int, across: str) -> list[str]:
    places = sorted({value for series in panel.series for value in series.across})
    most = max(value for series in panel.series for value in series.up) * 1.15 or 1.0
    low, high = places[0], places[-1] if len(places) > 1 else places[0] + 1
    floor, ceiling = _HEIGHT - _BOTTOM, _TOP

    def x(value: float) -> float:
        return left + _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return floor - value / most * (floor - ceiling)

    lines = [_text(left + _LEFT, _TOP - 16, panel.title, weight="bold")]
    for step in range(_TICKS + 1):
        value = most / _TICKS * step
        lines.append(_line(x(low), y(value), x(high), y(value), "#dddddd"))
        lines.append(_text(left + _LEFT - 6, y(value) + 4, f"{value:.3g}", anchor="end"))
    lines += [_text(x(place), floor + 16, f"{place:g}", anchor="middle") for place in _apart(places)]
    lines.append(_text(x((low + high) / 2), floor + 32, across, anchor="middle"))
    for number, series in enumerate(panel.series):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(series.across, series.up, strict=True))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines += [
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"><title>{a:g}: {b:g}</title></circle>'
            for a, b in zip(series.across, series.up, strict=True)
        ]
        place = left + _LEFT + number * (_WIDTH - _LEFT) / len(panel.series)
        lines.append(_text(place, _HEIGHT - 10, f"● {series.name}", colour=colour))
    return lines


def _apart(places: Sequence[float]) -> list[float]:
    """Those of the ascending places whose labels do not run into each other."""
    least = (places[-1] - places[0]) / _LABELS_MAX
    chosen: list[float] = []
    for place in places:
        if not chosen or place - chosen[-1] >= least:
            chosen.append(place)
    return chosen


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#222"
) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'
