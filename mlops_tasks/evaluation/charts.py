"""Charts as inline SVG: what the numbers look like, without a plotting library or a script.

Each function takes values and returns one accessible `<svg>`. Colours come from the page's style
sheet; without it, everything is drawn in the colour of the text. Order is the caller's affair,
and so is how many rows are too many.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlops_tasks.artifacts import CalibrationBin, Importance, Interval
from mlops_tasks.evaluation.page import Html, safe

WIDTH = 680
LABELS_END = 188
PLOT_START, PLOT_END = 200, 468
ROW = 24
LONGEST_LABEL = 24
NOT_DEFINED = "not defined"


def number(value: float, signed: bool = False) -> str:
    """Four decimals, or a power of ten where four decimals would hide or drown the value."""
    if not math.isfinite(value):
        return NOT_DEFINED
    plus = "+" if signed and value else ""
    short = 0.00005 <= abs(value) < 1e6 or value == 0
    return f"{value + 0.0:{plus}{'.4f' if short else '.2e'}}"


def interval_text(interval: Interval | None, signed: bool = False) -> str:
    """Value and interval: `0.7421 [0.7350, 0.7490]`."""
    if interval is None or not math.isfinite(interval.value):
        return NOT_DEFINED
    ends = f"[{number(interval.low, signed)}, {number(interval.high, signed)}]"
    return f"{number(interval.value, signed)} {ends}"


def shorten(label: str, longest: int) -> str:
    """Cut a label to `longest` characters."""
    return label if len(label) <= longest else label[: longest - 1] + "…"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Linear map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1) + 0.0

    def ticks(self, most: int = 5) -> list[float]:
        """Round values inside the scale, at most `most` steps apart."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(place * step, 12) + 0.0 for place in range(first, last + 1)]


def interval_chart(
    title: str,
    rows: Sequence[tuple[str, Interval | None]],
    *,
    reference: float | None = None,
    signed: bool = False,
) -> Html:
    """Dots with whiskers, one row each, on a common scale.

    Parameters
    ----------
    title
        What the chart shows, for those who cannot see it.
    rows
        Label and interval, top to bottom; a missing interval is drawn as "not defined".
    reference
        Where to draw a vertical line: the overall score, or zero for a gain.
    signed
        Write `+` before positive values, as for a gain.
    """
    known = [interval for _, interval in rows if interval is not None]
    edges = [edge for item in known for edge in (item.value, item.low, item.high)]
    scale = _scale(edges + ([] if reference is None else [reference]))
    marks = []
    for place, (label, interval) in enumerate(rows):
        value = interval_text(interval, signed)
        drawn = "" if value == NOT_DEFINED or interval is None else _whisker(scale, interval, place)
        marks.append(_row(place, label, value, drawn))
    guide = "" if reference is None else _guide(scale.at(reference), len(rows))
    return _rows_chart(title, scale, len(rows), guide + "".join(marks))


def bar_chart(title: str, items: Sequence[Importance]) -> Html:
    """Bars from zero with a whisker of one standard deviation; useless features are greyed."""
    edges = [edge for item in items for edge in (item.mean - item.std, item.mean + item.std)]
    scale = _scale([0.0, *edges])
    marks = []
    for place, item in enumerate(items):
        value = f"{number(item.mean)} ± {number(item.std)}"
        drawn = _bar(scale, item, place) if math.isfinite(item.mean) else ""
        marks.append(_row(place, item.feature, value, drawn, idle=item.useless))
    return _rows_chart(title, scale, len(items), "".join(marks) + _guide(scale.at(0), len(items)))


def calibration_chart(bins: Sequence[CalibrationBin]) -> Html:
    """Reliability diagram over a histogram of the bins; empty bins are left out.

    Both axes end at the same round value, so rare events do not huddle in a corner.
    """
    filled = [item for item in bins if item.rows > 0]
    top = max(
        (edge for item in filled for edge in (item.mean_score, item.observed_rate)), default=1
    )
    end = next((limit for limit in (0.05, 0.1, 0.2, 0.3, 0.5) if top <= limit), 1.0)
    across, up = _Scale(0, end, 44, 344), _Scale(0, end, 310, 10)
    points = [(across.at(item.mean_score), up.at(item.observed_rate)) for item in filled]
    path = " ".join(f"{x},{y}" for x, y in points)
    dots = [
        f'<circle class="mark" cx="{x}" cy="{y}" r="3.5" fill="currentColor">'
        f"{_bin(item)}</circle>\n"
        for (x, y), item in zip(points, filled, strict=True)
    ]
    grid = [_square_tick(across.at(tick), up.at(tick), tick) for tick in across.ticks()]
    drawn = (
        f"{''.join(grid)}"
        f'<path class="guide" d="M44 310L344 10" stroke="currentColor" stroke-dasharray="4 4"/>\n'
        f'<polyline class="mark" points="{path}" stroke="currentColor" style="fill:none"/>\n'
        f"{''.join(dots)}{_histogram(across, filled)}"
        '<text class="tick" x="50" y="20">observed rate</text>'
        '<text class="tick" x="344" y="304" text-anchor="end">mean score</text>'
        '<text class="tick" x="44" y="412">rows in each bin</text>\n'
    )
    title = f"Calibration: observed rate against mean score in {len(filled)} bins"
    return _svg(title, 360, 420, drawn, kind="narrow")


def _scale(edges: Iterable[float]) -> _Scale:
    finite = [edge for edge in edges if math.isfinite(edge)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    # Equal ends would divide by zero: one value alone sits in the middle.
    room = (high - low) * 0.04 or max(abs(high), 1.0) * 0.05
    return _Scale(low - room, high + room, PLOT_START, PLOT_END)


def _svg(title: str, width: int, height: int, content: str, kind: str = "") -> Html:
    # No xmlns: inline SVG needs none, and the page then names no address at all.
    return Html(
        f'<figure tabindex="0"><svg class="{kind}" viewBox="0 0 {width} {height}" role="img" '
        'fill="none">\n'
        f"<title>{safe(title)}</title>\n{content}</svg></figure>\n"
    )


def _rows_chart(title: str, scale: _Scale, rows: int, content: str) -> Html:
    bottom = rows * ROW + 4
    ticks = scale.ticks()
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 0.1
    decimals = min(max(0, math.ceil(-math.log10(step) - 1e-9)), 6)
    axis = [
        f'<path class="rule" d="M{scale.at(tick)} 0V{bottom}" stroke="currentColor" '
        'stroke-opacity="0.6"/>'
        f'<text class="tick" x="{scale.at(tick)}" y="{bottom + 14}" text-anchor="middle" '
        f'fill="currentColor">{tick:.{decimals}f}</text>\n'
        for tick in ticks
    ]
    return _svg(title, WIDTH, bottom + 20, "".join(axis) + content)


def _row(place: int, label: str, value: str, drawn: str, idle: bool = False) -> str:
    kind = ' class="idle"' if idle else ""
    base = place * ROW + ROW / 2 + 4
    told = safe(f"{value}, useless" if idle else value)
    return (
        f"<g><title>{safe(shorten(label, 200))}: {told}</title>"
        f'<text{kind} x="{LABELS_END}" y="{base}" text-anchor="end" fill="currentColor">'
        f"{safe(shorten(label, LONGEST_LABEL))}</text>{drawn}"
        f'<text{kind} x="{PLOT_END + 12}" y="{base}" fill="currentColor">{told}</text>'
        "</g>\n"
    )


def _whisker(scale: _Scale, interval: Interval, place: int) -> str:
    middle = place * ROW + ROW / 2
    ends = ""
    if math.isfinite(interval.low) and math.isfinite(interval.high):
        ends = (
            f'<path class="mark" d="M{scale.at(interval.low)} {middle}H{scale.at(interval.high)}" '
            'stroke="currentColor" stroke-width="1.5"/>'
        )
    dot = f'cx="{scale.at(interval.value)}" cy="{middle}" r="3.5"'
    return f'{ends}<circle class="mark" {dot} fill="currentColor"/>'


def _bar(scale: _Scale, item: Importance, place: int) -> str:
    top, kind = place * ROW + 6, "idle" if item.useless else "mark"
    left, right = sorted((scale.at(0), scale.at(item.mean)))
    low, high = scale.at(item.mean - item.std), scale.at(item.mean + item.std)
    return (
        f'<rect class="{kind}" x="{left}" y="{top}" width="{right - left:.1f}" height="{ROW - 12}" '
        'fill="currentColor" fill-opacity="0.45" stroke="none" style="stroke:none"/>'
        f'<path class="{kind}" d="M{low} {top + 6}H{high}" stroke="currentColor"/>'
    )


def _guide(x: float, rows: int) -> str:
    dash = 'stroke="currentColor" stroke-dasharray="4 4"'
    return f'<path class="guide" d="M{x} 0V{rows * ROW + 4}" {dash}/>\n'


def _square_tick(x: float, y: float, value: float) -> str:
    return (
        f'<path class="rule" d="M44 {y}H344M{x} 10V310" stroke="currentColor"/>'
        f'<text class="tick" x="38" y="{y + 4}" text-anchor="end" fill="currentColor">{value:g}'
        f'</text><text class="tick" x="{x}" y="325" text-anchor="middle" fill="currentColor">'
        f"{value:g}</text>\n"
    )


def _bin(item: CalibrationBin) -> Html:
    means = f"mean score {number(item.mean_score)}, observed rate {number(item.observed_rate)}"
    return Html(f"<title>{item.rows:,} rows: {means}</title>")


def _histogram(across: _Scale, bins: Sequence[CalibrationBin]) -> str:
    up = _Scale(0, max((item.rows for item in bins), default=1), 398, 338)
    bars = [
        f'<rect class="idle" x="{across.at(item.low)}" y="{up.at(item.rows)}" '
        f'width="{max(across.at(item.high) - across.at(item.low) - 1, 0.5):.1f}" '
        f'height="{398 - up.at(item.rows):.1f}" fill="currentColor" style="stroke:none">'
        f"{_bin(item)}</rect>\n"
        for item in bins
    ]
    return "".join(bars)
