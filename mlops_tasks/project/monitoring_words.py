"""How a judged window is told to a person."""

from typing import TYPE_CHECKING

from rich.markup import escape

from mlops_tasks.project.words import console

if TYPE_CHECKING:
    from mlops_tasks.monitoring.publication import WindowReport
    from mlops_tasks.project.simulation import Simulated

COLOURS = {"drift": "red", "no drift": "green", "not enough rows": "yellow"}
FIGURES = ("realised", "estimated")


def window(report: "WindowReport") -> None:
    """Verdict, figures, what follows, and where the page is."""
    console.print(_line(report), highlight=False)
    for reason in report.reasons:
        console.print(f"  · {escape(reason)}", highlight=False, soft_wrap=True)
    for said in report.called:
        console.print(f"  [bold]{escape(said)}[/]", highlight=False, soft_wrap=True)
    console.print(f"  report: {escape(report.report_uri)}", highlight=False, soft_wrap=True)


def simulated(step: "Simulated") -> None:
    """One line for a window, more where something follows from it."""
    report = step.report
    console.print(f"[bold]{escape(step.scene)}[/]  {_line(report)}", highlight=False)
    if report.rang:
        for reason in report.reasons[:3]:
            console.print(f"  · {escape(reason)}", highlight=False, soft_wrap=True)
    for said in report.called:
        console.print(f"  [bold]{escape(said)}[/]", highlight=False, soft_wrap=True)
    if step.answers_now != step.answered_by:
        console.print(
            f"  [bold green]version {step.answers_now} answers now[/], "
            f"version {step.answered_by} did before",
            highlight=False,
        )


def _line(report: "WindowReport") -> str:
    colour = COLOURS[report.verdict]
    parts = [f"[{colour}]{report.verdict}[/]", f"{report.rows} rows by version {report.version}"]
    parts += [f"{name} {report.figures[name]:.4f}" for name in FIGURES if name in report.figures]
    if report.rang:
        parts.append("[bold red]alarm[/]")
    return "  ".join(parts)
