"""A judged window where Prefect's users look: an artifact with the verdict and the way to the page.

How it is judged and published is `monitoring.publication`'s affair.
"""

import re

from mlops_tasks.monitoring.publication import WindowReport


def show(report: WindowReport) -> None:
    """Leave an artifact in Prefect; the newest one of a model is what its page there shows."""
    from prefect.artifacts import create_markdown_artifact

    key = re.sub(r"[^a-z0-9]+", "-", f"drift-{report.model}".lower()).strip("-")
    create_markdown_artifact(in_words(report), key=key, description=f"window {report.window}")


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
