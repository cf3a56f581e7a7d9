"""The command that watches: monitor, and its simulation."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlops_tasks.cli.options import AsJson, Overrides, ProjectFolder, Verbose, app


class Scenario(StrEnum):
    """What is replayed as traffic."""

    MONTHS = "months"
    STEADY = "steady"
    DRIFTED = "drifted"


@app.command(
    epilog="Examples:  mlops monitor   ·   mlops monitor --start 2026-03-01 --end 2026-03-02   ·   "
    "mlops monitor --simulate drifted --windows 4"
)
def monitor(
    overrides: Overrides = None,
    start: Annotated[str | None, typer.Option(help="ISO time; UTC without a zone.")] = None,
    end: Annotated[
        str | None, typer.Option(help="By default the last complete window ends the window.")
    ] = None,
    simulate: Annotated[
        Scenario | None,
        typer.Option(
            help="Replay rows as traffic: the later months as they are, rows that the champion "
            "knows (steady), or later rows of one half of its main feature (drifted)."
        ),
    ] = None,
    windows: Annotated[int, typer.Option(min=1, max=1000, help="To simulate.")] = 6,
    rows: Annotated[int, typer.Option(min=1, help="In each simulated window, at most.")] = 1000,
    url: Annotated[
        str | None, typer.Option(help="A running server; by default one is started.")
    ] = None,
    key: Annotated[
        str,
        typer.Option(envvar="MLOPS_API_KEY", help="For the server; better in the environment."),
    ] = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a training that an alarm starts.")
    ] = 300,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Hold a window of live traffic against what the champion learned; call for a retraining."""
    from mlops_tasks.project import monitoring_words, running, words

    where = running.find(project)
    if simulate is None:
        report = running.run_flow(
            where, "monitor", overrides or [], fresh=False, verbose=verbose, start=start, end=end
        )
        monitoring_words.window(report)
        if as_json:
            words.as_json(report)
        return
    from mlops_tasks.project.simulation import simulate as replay

    words.heading(f"monitor --simulate {simulate.value}")
    found = []
    steps = replay(
        where,
        overrides or [],
        simulate.value,
        windows=windows,
        rows=rows,
        url=url,
        wait_seconds=wait,
        key=key,
        verbose=verbose,
    )
    for each in steps:
        monitoring_words.simulated(each)
        found.append(each)
    if as_json:
        words.as_json(found)
