"""A judged window where Prefect's users look: an artifact with the verdict and the way to the page.

What is published is `monitoring.publication`'s affair.
"""

import re

from mlops_tasks.artifacts import Champion, Dataset
from mlops_tasks.monitoring import publication
from mlops_tasks.monitoring.assessment import Health
from mlops_tasks.monitoring.detection import Detected
from mlops_tasks.monitoring.memory import Alarm
from mlops_tasks.monitoring.publication import WindowReport
from mlops_tasks.monitoring.window import Window
from mlops_tasks.settings.schema import Settings


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
    """Publish a window, and leave an artifact in Prefect.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    StorageError
        If the gauges cannot be written.
    """
    from prefect.artifacts import create_markdown_artifact

    report = publication.publish(settings, champion, window, traffic, drift, health, alarm, called)
    key = re.sub(r"[^a-z0-9]+", "-", f"drift-{report.model}".lower()).strip("-")
    create_markdown_artifact(in_words(report), key=key, description=f"window {report.window}")
    return report


def in_words(report: WindowReport) -> str:
    """A window in Markdown; names that come from data stay text."""
    lines = [
        f"## {report.verdict}{', alarm' if report.rang else ''}",
        f"{report.rows} rows by version {report.version}, window {report.window}",
        *(f"- {_plain(each)}" for each in (*report.reasons, *report.called)),
        *(f"- {name} {value:.4f}" for name, value in report.figures.items()),
        f"\nReport: `{report.report_uri}`",
    ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text.replace("\n", " "))
