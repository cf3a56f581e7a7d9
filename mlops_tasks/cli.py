"""The `mlops` command: thin, and quick to answer `--help`.

Exit codes: 0 done; 1 something the user can put right (said in one message); 2 wrong usage;
3 the gate refused the candidate; 130 interrupted. Results go to standard output, progress and
errors to standard error, so that `--json` can be piped.
"""

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_tasks.errors import Interrupted, MlopsError

app = typer.Typer(
    help="Train, gate, register and score models of a project made from the template.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

REFUSED = 3
INTERRUPTED = 130

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Hydra overrides, for example `model=linear seed=1`.", metavar="KEY=VALUE"),
]
ProjectFolder = Annotated[
    Path, typer.Option("--project", help="The project's folder, or one inside it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show Prefect's own log as well.")]


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
    words.scores(result, running.target_of(where, overrides or []), out)
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

    plain = running.settings_of(running.find(project), overrides or []).model_dump(mode="json")
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command and turn what the user can put right into one message."""
    _plain_output_on_dumb_terminals()
    _spare_the_garbage_collector()
    try:
        app(arguments, standalone_mode=True)
    except MlopsError as error:
        _complain(str(error))
        sys.exit(INTERRUPTED if isinstance(error, Interrupted) else 1)


def _complain(text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text("✗ ", "bold red").append(text, "default"), soft_wrap=True)


def _spare_the_garbage_collector() -> None:
    """A command lives for seconds; walking all imported objects would cost it up to two."""
    gc.set_threshold(200_000, 20, 100)
    atexit.register(gc.freeze)


def _plain_output_on_dumb_terminals() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure and (stream.encoding or "").lower() not in ("utf-8", "utf8"):
            reconfigure(errors="replace")
    os.environ.setdefault("PYTHONUNBUFFERED", "1")


if __name__ == "__main__":
    main()
