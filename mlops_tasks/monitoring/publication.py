"""What becomes of a judged window: a page, figures in MLflow, and gauges for Prometheus.

Guarantees, each held by a test: a window is published once, however often it is written; the gauges
are those of the newest window, whatever is published after it, in a file that a server of the model
shows as it is.
"""

from dataclasses import dataclass
from datetime import datetime

from mlops_tasks.artifacts import Champion, Dataset, Interval
from mlops_tasks.drift import documents
from mlops_tasks.drift.verdict import Verdict
from mlops_tasks.monitoring.assessment import Health
from mlops_tasks.monitoring.detection import Detected
from mlops_tasks.monitoring.figures import metrics_of
from mlops_tasks.monitoring.memory import Alarm
from mlops_tasks.monitoring.page import Watched, render_window
from mlops_tasks.monitoring.plots import Moment
from mlops_tasks.monitoring.trigger import Decision
from mlops_tasks.monitoring.window import Window
from mlops_tasks.registry.windows import LABELS_TAG, WindowRun, log_window, recent_windows
from mlops_tasks.serving.gauges import write_gauges
from mlops_tasks.settings.schema import Settings

PAGE = "report.html"
DRIFT_FILE = "drift.json"
SHOWN_WINDOWS = 30


@dataclass(frozen=True, slots=True)
class WindowReport:
    """How a window was judged, and what follows. `called` says what was done about an alarm.

    `figures` has the primary metric, realised and estimated, where there is one.
    """

    model: str
    version: int
    window: str
    rows: int
    verdict: Verdict
    reasons: tuple[str, ...]
    rang: bool
    retrain: bool
    called: tuple[str, ...]
    figures: dict[str, float]
    report_uri: str


def publish(
    settings: Settings,
    champion: Champion,
    window: Window,
    traffic: Dataset,
    drift: Detected,
    health: Health,
    alarm: Alarm,
    called: tuple[str, ...] = (),
) -> WindowReport:
    """Record a window in MLflow, with its page, and let Prometheus see it.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    StorageError
        If the gauges cannot be written.
    """
    model, report = settings.registered_model, drift.report
    metrics = metrics_of(
        report, settings.monitoring.drift, health.realised, health.estimated, health.skew
    )
    now = _now(window, health, settings)
    recent = recent_windows(settings, SHOWN_WINDOWS)
    ends = [datetime.fromisoformat(each.end) for each in recent]
    before = [
        _moment(each, settings)
        for each, end in zip(recent, ends, strict=True)
        if end <= window.end and each.window != window.name
    ]
    page = render_window(
        Watched(
            model=model,
            version=champion.version,
            digest=champion.candidate.digest,
            window=window.name,
            drift=report,
            rules=settings.monitoring.drift,
            profile=drift.profile,
            counts=drift.counts,
            performance=health.realised,
            evaluation=health.judged,
            estimate=health.estimated,
            unestimated_because=health.unestimated_because,
            skew=health.skew,
            decision=Decision(window.name, alarm.rang, alarm.retrain, alarm.reasons),
            history=(*before, now),
            next_step="; ".join(called),
        )
    )
    run = log_window(
        settings,
        window=window.name,
        end=window.end.isoformat(),
        version=champion.version,
        metrics=metrics,
        files={PAGE: page.encode(), DRIFT_FILE: documents.encode(report)},
        tags={
            "mlops.model": model,
            "mlops.verdict": report.verdict,
            "mlops.traffic_digest": traffic.digest,
            "mlops.alarm": str(alarm.rang).lower(),
            LABELS_TAG: health.labels,
        },
    )
    if all(end <= window.end for end in ends):
        # A monitor that has stopped must not look like one that finds nothing.
        write_gauges(settings, model, {**metrics, "window_end_seconds": window.end.timestamp()})
    figures = {"realised": now.realised, "estimated": now.estimated}
    return WindowReport(
        model,
        champion.version,
        window.name,
        report.rows,
        alarm.verdict,
        (*report.reasons, *alarm.reasons),
        alarm.rang,
        alarm.retrain,
        called,
        {name: each.value for name, each in figures.items() if each is not None},
        f"{run.artifact_uri}/{PAGE}",
    )


def _now(window: Window, health: Health, settings: Settings) -> Moment:
    primary = settings.evaluation.primary
    estimated = health.estimated.metric(primary) if health.estimated else None
    return Moment(window.name, health.realised.metric(primary), estimated)


def _moment(run: WindowRun, settings: Settings) -> Moment:
    primary = settings.evaluation.primary

    def found(kind: str) -> Interval | None:
        names = [f"{kind}_{primary}{end}" for end in ("", "_low", "_high")]
        if not set(names) <= set(run.metrics):
            return None
        return Interval(*(run.metrics[name] for name in names))

    return Moment(run.window, found("realised"), found("estimated"))
