"""Commands of every day: train, score, compare, config, demo."""

from pathlib import Path
from typing import Annotated

import typer

from mlops_tasks.cli.options import REFUSED, WAITING, AsJson, Overrides, ProjectFolder, Verbose, app


@app.command(
    epilog="Examples:  mlops train   ·   mlops train model=boosting model.params.rounds=300   ·   "
    "mlops train -m model=linear,forest"
)
def train(
    overrides: Overrides = None,
    multirun: Annotated[
        bool, typer.Option("--multirun", "-m", help="Run every combination of `key=a,b`.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute every step again, whatever is cached.")
    ] = False,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Train a candidate, gate it, and register it if it is accepted."""
    from mlops_tasks.project import running, words

    where = running.find(project)
    runs = running.combinations(overrides or [], multirun)
    results = []
    for number, run in enumerate(runs, start=1):
        title = f"train {' '.join(run)}".strip()
        words.heading(f"{title}  ({number} of {len(runs)})" if multirun else title)
        result = running.run_flow(where, "train", run, fresh=fresh, verbose=verbose)
        words.registration(result)
        results.append(result)
    if as_json:
        words.as_json(results if multirun else results[0])
    if not multirun and not results[0].accepted:
        raise typer.Exit(REFUSED)
    if not multirun and results[0].standing == "waiting":
        raise typer.Exit(WAITING)


@app.command(
    epilog="Example:  mlops score data.window.start=2013-07-01 data.window.end=2013-08-01 "
    "--out july.parquet"
)
def score(
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Also write the scores to this file.")] = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Score the rows of a window with the champion."""
    from mlops_tasks.project import running, words

    where = running.find(project)
    words.heading(f"score {' '.join(overrides or [])}".strip())
    result = running.run_flow(where, "score", overrides or [], fresh=False, verbose=verbose)
    settings = running.settings_of(where, overrides or [])
    words.scores(result, settings.data.target, settings.evaluation.primary, out)
    if as_json:
        words.as_json(result)


@app.command(epilog="Example:  mlops compare --json | jq '.[0]'")
def compare(
    overrides: Overrides = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The latest so many runs.")] = 50,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Show the runs of the project side by side, best first, as a table and as a page."""
    from mlops_tasks.project import running, words
    from mlops_tasks.registry.leaderboard import leaderboard

    where = running.find(project)
    settings = running.settings_of(where, overrides or [])
    with words.waiting("reading the runs"):
        rows = leaderboard(settings, limit)
    if as_json:
        words.as_json(list(rows))
    else:
        words.leaderboard(rows, settings.evaluation.primary, where.root / "outputs")


@app.command(epilog="Example:  mlops config model=linear")
def config(
    overrides: Overrides = None, project: ProjectFolder = Path(), as_json: AsJson = False
) -> None:
    """Show the configuration as it is after all defaults and overrides."""
    import yaml

    from mlops_tasks.project import running, words
    from mlops_tasks.settings.compose import compose

    settings = compose(running.find(project).root, overrides or [])
    plain = settings.model_dump(mode="json")
    if as_json:
        words.as_json(plain)
    else:
        typer.echo(yaml.safe_dump(plain, sort_keys=False), nl=False)


@app.command(epilog="Example:  mlops demo --into ~/mlops-demo")
def demo(
    into: Annotated[
        Path | None, typer.Option(help="An empty or new folder; a temporary one by default.")
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(help="The template: a folder or git URL; this checkout by default."),
    ] = None,
) -> None:
    """Generate a project and watch its first life on real data: two trainings, gate, scores."""
    from mlops_tasks.project.demo import run_demo

    run_demo(into, template)
