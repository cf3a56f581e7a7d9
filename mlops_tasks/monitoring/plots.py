"""Plots of a window: a column's distribution beside the reference's, and metrics over windows.

Inline SVG in the look of `evaluation.charts`: each has a title, takes its colours from the page and
escapes what comes from data. The reference is grey, the window coloured. Numbers are drawn from
their bins as if values were spread evenly inside each, between the 1 % and 99 % points of both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mlops_tasks.artifacts import Interval
from mlops_tasks.drift.bins import Array, Bins, Tally
from mlops_tasks.evaluation.charts import interval_text, number, shorten
from mlops_tasks.evaluation.page import Html, safe

CELLS = 24
MOST_LEVELS = 24
LONGEST_LEVEL = 60
OUTER = (0.01, 0.99)
SMALL, LARGE = (168, 44), (640, 180)
REFERENCE, WINDOW = (
    'class="idle" fill="currentColor" shape-rendering="crispEdges"',
    'class="mark" stroke="currentColor"',
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A metric in one window: what it was, and what it was expected to be; either may lack."""

    window: str
    realised: Interval | None
    estimated: Interval | None


def distribution(bins: Bins, old: Tally, new: Tally, *, large: bool = False) -> Html:
    """Shares of the reference (grey) and of the window (outlined), per cell or level.

    Parameters
    ----------
    bins
        Of the column.
    old, new
        Reference and window, counted in them.
    large
        Draw for a section of its own, with an axis, not for a cell of a table.
    """
    if not old.present or not new.present:
        side = "the reference" if not old.present else "the window"
        return Html(f'<span class="note">{side} has no values</span>')
    if bins.ordered:
        edges, before, now = _cells(bins, old, new)
        left, right = _label(bins, edges[0]), _label(bins, edges[-1])
        names = [f"{_label(bins, a)} to {_label(bins, b)}" for a, b in pairwise(edges)]
    else:
        names, before, now = _levels(bins, old, new)
        left, right = f"{len(names)} levels, most frequent first", ""
    return _bars(bins.name, names, before, now, (left, right), large=large)


def over_time(metric: str, moments: Sequence[Moment], reference: Interval | None) -> Html:
    """Realised (dots with whiskers) against estimated (band) in each window, oldest first.

    Parameters
    ----------
    metric
        Its name.
    moments
        The windows.
    reference
        What the metric was on the comparison set: the dashed line.
    """
    width, height, bottom = 640, 220, 190
    known = [each for one in moments for each in (one.realised, one.estimated) if each is not None]
    known += [reference] if reference is not None else []
    ends = [end for each in known for end in (each.low, each.high, each.value)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    ticks = _ticks(low, high)
    low, high = ticks[0], ticks[-1]

    def x(place: int) -> float:
        return round(64 + (place + 0.5) * (width - 76) / max(1, len(moments)), 1)

    def y(value: float) -> float:
        return round(bottom - (value - low) / (high - low) * (bottom - 10), 1)

    half = min(12.0, (width - 76) / max(1, len(moments)) * 0.4)
    marks = [_level(width, y(tick), f"{tick:.4g}") for tick in ticks]
    if reference is not None:
        line = y(reference.value)
        marks.append(
            f'<path class="guide" d="M60 {line}H{width}" stroke="currentColor" '
            f'stroke-dasharray="4 4"><title>comparison set: {number(reference.value)}</title>'
            "</path>\n"
        )
    marks += [_moment(each, x(place), y, half) for place, each in enumerate(moments)]
    for place in sorted({0, len(moments) - 1} if moments else set()):
        anchor = "start" if place == 0 else "end"
        at = 64 if place == 0 else width
        marks.append(
            f'<text class="tick" x="{at}" y="{height - 6}" text-anchor="{anchor}">'
            f"{safe(shorten(moments[place].window.partition('/')[0], 40))}</text>\n"
        )
    title = f"{metric} in {len(moments)} windows: realised as dots, estimated as boxes"
    return Html(f'<figure tabindex="0">{_svg(title, width, height, "".join(marks))}</figure>\n')


def _ticks(low: float, high: float) -> list[float]:
    """Round values, evenly apart, the outer ones beyond both ends."""
    rough = max(high - low, 1e-3) / 4
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = np.floor(low / step - 0.05), np.ceil(high / step + 0.05)
    return [round(float(place * step), 12) for place in np.arange(first, last + 1)]


def _moment(each: Moment, x: float, y: Callable[[float], float], half: float) -> str:
    told = (
        f"{shorten(each.window, LONGEST_LEVEL)}: realised {interval_text(each.realised)}, "
        f"estimated {interval_text(each.estimated)}"
    )
    drawn = ""
    if each.estimated is not None:
        top, under = y(each.estimated.high), y(each.estimated.low)
        drawn += (
            f'<rect class="idle" x="{x - half:.1f}" y="{top}" width="{2 * half:.1f}" '
            f'height="{max(under - top, 1):.1f}" fill="currentColor" fill-opacity="0.35" '
            'style="stroke:none"/>'
            f'<path class="idle" d="M{x - half:.1f} {y(each.estimated.value)}h{2 * half:.1f}" '
            'stroke="currentColor" stroke-width="1.5"/>'
        )
    if each.realised is not None:
        drawn += (
            f'<path class="mark" d="M{x} {y(each.realised.low)}V{y(each.realised.high)}" '
            'stroke="currentColor" stroke-width="1.5"/>'
            f'<circle class="mark" cx="{x}" cy="{y(each.realised.value)}" r="3.5" '
            'fill="currentColor"/>'
        )
    return f"<g><title>{safe(told)}</title>{drawn}</g>\n"


def _level(width: int, y: float, label: str) -> str:
    return (
        f'<path class="rule" d="M60 {y}H{width}" stroke="currentColor" stroke-opacity="0.6"/>'
        f'<text class="tick" x="54" y="{y + 4}" text-anchor="end">{label}</text>\n'
    )


def _bars(
    column: str,
    names: Sequence[str],
    before: Array,
    now: Array,
    ends: tuple[str, str],
    *,
    large: bool,
) -> Html:
    width, height = LARGE if large else SMALL
    bottom = height - (18 if large else 2)
    step = width / max(1, len(names))
    most = max(float(before.max()), float(now.max())) or 1.0
    bars, outline = [], []
    for place, (name, old, new) in enumerate(zip(names, before, now, strict=True)):
        left, right = place * step, (place + 1) * step
        top, line = (bottom - share / most * (bottom - 4) for share in (old, new))
        told = f"{shorten(name, LONGEST_LEVEL)}: reference {old:.1%}, window {new:.1%}"
        bars.append(
            f'<rect {REFERENCE} x="{left:.1f}" y="{top:.1f}" width="{step:.1f}" '
            f'height="{bottom - top:.1f}" fill-opacity="0.55" style="stroke:none">'
            f"<title>{safe(told)}</title></rect>"
        )
        outline.append(f"{'L' if place else 'M'}{left:.1f} {line:.1f}H{right:.1f}")
    drawn = (
        f"{''.join(bars)}\n"
        f'<path {WINDOW} stroke-width="{2 if large else 1.5}" style="fill:none" '
        f'pointer-events="none" d="{"".join(outline)}"/>\n'
    )
    if large:
        drawn += (
            f'<text class="tick" x="0" y="{height - 4}">{safe(ends[0])}</text>'
            f'<text class="tick" x="{width}" y="{height - 4}" text-anchor="end">'
            f"{safe(ends[1])}</text>\n"
        )
    kind = f"{ends[0]} to {ends[1]}" if ends[1] else ends[0]
    title = f"{shorten(column, LONGEST_LEVEL)}, {kind}: reference filled, window outlined"
    if large:
        return Html(f'<figure tabindex="0">{_svg(title, width, height, drawn)}</figure>\n')
    return _svg(
        title,
        width,
        height,
        drawn,
        f"width:{width}px;min-width:{width}px;display:inline-block;vertical-align:middle",
    )


def _svg(title: str, width: int, height: int, content: str, style: str = "") -> Html:
    kept = f' style="{style}"' if style else ""
    return Html(
        f'<svg viewBox="0 0 {width} {height}" role="img" fill="none"{kept}>\n'
        f"<title>{safe(title)}</title>\n{content}</svg>"
    )


def _cells(bins: Bins, old: Tally, new: Tally) -> tuple[list[float], Array, Array]:
    """Cells of equal width, and each side's share in them; what lies outside goes to the ends."""
    extremes = [x for x in (old.low, old.high, new.low, new.high, *bins.edges) if x is not None]
    points = np.array([min(extremes), *bins.edges, max(extremes)])
    sides = [np.append(0.0, np.cumsum(each.counts) / each.present) for each in (old, new)]
    # A point mass has two points next to each other; `interp` takes the later of equal ones.
    outer = [np.interp(OUTER, side, points) for side in sides]
    low, high = min(each[0] for each in outer), max(each[1] for each in outer)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, CELLS + 1)
    shares = [np.interp(edges, points, side) for side in sides]
    for each in shares:
        each[0], each[-1] = 0.0, 1.0
    before, now = (np.diff(each) for each in shares)
    return edges.tolist(), before, now


def _levels(bins: Bins, old: Tally, new: Tally) -> tuple[list[str], Array, Array]:
    before, now = (np.array(each.counts) / each.present for each in (old, new))
    named = [*bins.levels, "(all others)"][: len(before)]
    order = np.argsort(-(before + now)[: len(bins.levels)], kind="stable")[:MOST_LEVELS]
    names = [named[place] for place in order]
    picked = [np.append(side[order], 1 - side[order].sum()) for side in (before, now)]
    return [*names, "(all others)"], np.maximum(picked[0], 0.0), np.maximum(picked[1], 0.0)


def _label(bins: Bins, value: float) -> str:
    if bins.kind == "time":
        return str(np.datetime64(int(value), "us").astype("datetime64[m]"))
    return f"{value:.4g}"
