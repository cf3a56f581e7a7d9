"""Commands that look around: tune, and backtest."""

from pathlib import Path
from typing import Annotated

import typer

from mlops_tasks.cli.options import AsJson, Overrides, ProjectFolder, Verbose, app


@app.command(
    epilog="Examples:  mlops tune   ·   mlops tune model=boosting --trials 64 --workers 4   ·   "
    "mlops tune --write tuned && mlops train experiment=tuned"
)
def tune(
    overrides: Overrides = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="In all; run again with more to go on.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1000, help="Processes.")] = None,
    write: Annotated[
        str | None,
        typer.Option(help="Keep what was found as conf/experiment/NAME.yaml.", metavar="NAME"),
    ] = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Look for better parameters of a model, on the training rows; run again to go on."""
    from mlops_tasks.project import running, tuning_words, words

    where = running.find(project)
    if write is not None:
        tuning_words.refuse_name(write)
    words.heading(f"tune {' '.join(overrides or [])}".strip())
    result = running.run_flow(
        where,
        "tune",
        overrides or [],
        fresh=False,
        verbose=verbose,
        trials=trials,
        workers=workers,
    )
    tuning_words.tuned(result)
    if write is not None:
        tuning_words.written(result, where.root, write)
    if as_json:
        words.as_json(result)


@app.command(epilog="Example:  mlops backtest --windows 6 --sliding")
def backtest(
    overrides: Overrides = None,
    windows: Annotated[int, typer.Option(min=1, max=1000, help="Stretches of time.")] = 6,
    sliding: Annotated[
        bool, typer.Option("--sliding", help="Learn from the stretch before each window only.")
    ] = False,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Train before each of several moments, and judge on what followed."""
    from mlops_tasks.project import running, tuning_words, words

    where = running.find(project)
    words.heading(f"backtest {' '.join(overrides or [])}".strip())
    result = running.run_flow(
        where,
        "backtest",
        overrides or [],
        fresh=False,
        verbose=verbose,
        windows=windows,
        sliding=sliding,
    )
    tuning_words.backtested(result)
    if as_json:
        words.as_json(result)
