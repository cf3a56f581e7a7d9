"""How a split and a comparison are told to a person: lines of plain text."""

from collections.abc import Iterator

from mlops_tasks.serving.traffic.sides import Side
from mlops_tasks.serving.traffic.state import Recorded, Traffic
from mlops_tasks.serving.traffic.trial import Trial

SHOWN = ("requests", "rows", "errors", "latency_p50_ms", "latency_p99_ms", "mean_score")


def split_lines(model: str, traffic: Traffic) -> Iterator[str]:
    """Who answers, and who is only asked."""
    if traffic.canary_version is None:
        yield f"{model}: the champion answers everybody"
    else:
        share = f"{traffic.canary_weight:.6g}"
        yield f"{model}: version {traffic.canary_version} is the canary, with {share} of the keys"
    if traffic.shadow_version is not None:
        yield f"  version {traffic.shadow_version} is the shadow"


def status_lines(model: str, now: Recorded) -> Iterator[str]:
    """The split, and who decided it when and why."""
    yield from split_lines(model, now.traffic)
    if now.entry:
        event = now.entry.event
        why = f": {event.reason}" if event.reason else ""
        yield f"  {event.action} {event.outcome} by {event.actor} at {now.entry.at}{why}"


def trial_lines(trial: Trial) -> Iterator[str]:
    """The figures of both sides, what differs, and the gate's answer."""
    report = trial.report
    since, until = report.since or "nothing", report.until or "was answered yet"
    yield f"{report.role} against the champion, {since} to {until}"
    yield f"  {'':16}{'champion':>14}{report.role:>14}"
    for name in ("version", *SHOWN, "predicted_positive", "labelled", "positives"):
        label = name.replace("_", " ").replace(" ms", ", ms")
        left, right = (_cell(side, name) for side in (report.champion, report.other))
        yield f"  {label:20}{left:>10}{right:>14}"
    if report.shift is not None and report.distance is not None:
        yield f"  scores: shift {report.shift:+.4f} (-1 to 1), distance {report.distance:.4f}"
    if report.agreement:
        found = report.agreement
        yield (
            f"  same prediction on {found.same_prediction:.2%} of {found.rows} rows, "
            f"scores apart {found.mean_difference:.4f} on average, "
            f"{found.largest_difference:.4f} at most"
        )
    for each in report.gains:
        gain = each.gain
        yield f"  {each.metric:18} {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
    for reason in report.missing:
        yield f"  not enough: {reason}"
    yield "the gate accepts it" if trial.decision.accepted else "the gate refuses it"
    for reason in trial.decision.reasons:
        yield f"  · {reason}"


def _cell(side: Side, name: str) -> str:
    value = getattr(side, name)
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
