"""Commands of the prediction log: show it, add labels to it, let old days go."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_tasks.cli.options import AsJson, ProjectFolder, Set, app

if TYPE_CHECKING:
    import polars as pl

log_app = typer.Typer(
    help="What the served model answered, and what turned out to be true.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(log_app, name="log")

Model = Annotated[
    str | None,
    typer.Option("--model", help="The registered model; by default that of the stack's stage."),
]
SHOWN = ("time", "request_id", "row", "version", "role", "latency_ms", "score", "prediction")


@log_app.command("show", epilog="Examples:  mlops log show   ·   --day 2026-03-01 --json")
def show(
    day: Annotated[str | None, typer.Option(help="A day, in UTC; by default today.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many rows.")] = 20,
    model: Model = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """List what was answered, by all versions in all roles, with the labels that have come."""
    from datetime import UTC, datetime, timedelta

    from mlops_tasks.project import governing, words
    from mlops_tasks.serving.prediction_log.labels import labelled, read_labels
    from mlops_tasks.serving.prediction_log.reader import predictions

    settings = _settings(project, overrides)
    chosen = governing.named(settings, model)
    now = datetime.now(UTC)
    start = datetime.fromisoformat(governing.moment(day or now.date().isoformat(), end=False))
    start = start.replace(hour=0, minute=0, second=0, microsecond=0)
    found = predictions(settings, chosen, start, start + timedelta(days=1), role=None)
    rows = labelled(found, read_labels(settings, chosen)).tail(limit)
    if as_json:
        typer.echo(rows.write_ndjson(), nl=False)
        return
    if rows.is_empty():
        words.console.print(f"{chosen} answered nothing on {start.date()}")
        return
    _table(rows)
    words.console.print(f"{rows.height} of {found.height} rows of {start.date()} (UTC)")


@log_app.command("label", epilog="Example:  mlops log label arrived.csv")
def label(
    file: Annotated[
        Path,
        typer.Argument(
            help="csv, parquet or ndjson: request_id, label, and row and time where known.",
            exists=True,
            dir_okay=False,
        ),
    ],
    model: Model = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Add labels; one that comes again replaces the one before."""
    from mlops_tasks.data.frames import read_file
    from mlops_tasks.project import governing, words
    from mlops_tasks.serving.prediction_log.labels import JOINED_BY, add_labels, read_labels
    from mlops_tasks.serving.prediction_log.labels import without_prediction as unmatched
    from mlops_tasks.serving.prediction_log.reader import EVER, predictions

    settings = _settings(project, overrides)
    chosen = governing.named(settings, model)
    kept = add_labels(settings, chosen, read_file(file))
    logged = predictions(settings, chosen, *EVER, role=None, columns=JOINED_BY)
    unknown = unmatched(logged, read_labels(settings, chosen))
    words.console.print(f"{kept} labels kept for {chosen}")
    if unknown:
        words.console.print(f"  {unknown} of all labels are of requests that are not in the log")
    if as_json:
        words.as_json({"model": chosen, "kept": kept, "without_prediction": unknown})


@log_app.command("retire", epilog="Example:  mlops log retire --set serving.log.retention_days=90")
def retire(overrides: Set = None, project: ProjectFolder = Path(), as_json: AsJson = False) -> None:
    """Delete the days that are older than `serving.log.retention_days`; goes on record."""
    from datetime import UTC, datetime

    from mlops_tasks.project import running, words
    from mlops_tasks.serving.prediction_log.retention import retire

    # Wherever data may be, it may be deleted from here.
    settings = running.settings_of(running.find(project), overrides or [])
    days = settings.serving.log.retention_days
    gone = retire(settings, datetime.now(UTC))
    if days is None:
        words.console.print("everything is kept: serving.log.retention_days is not set")
    else:
        words.console.print(
            f"{gone.days} days with {gone.rows} rows and {gone.labels} labels are gone "
            f"(older than {days:g} days)"
        )
    if as_json:
        words.as_json(gone)


def _table(rows: "pl.DataFrame") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*SHOWN, "label", box=None, header_style="bold")
    for row in rows.iter_rows(named=True):
        cells = [_cell(row[name]) for name in (*SHOWN, "label")]
        table.add_row(*map(escape, cells))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, str):
        return value
    return value.strftime("%H:%M:%S.%f") if hasattr(value, "strftime") else str(value)


def _settings(project: Path, overrides: list[str] | None) -> Any:
    from mlops_tasks.project import running

    return running.placed_settings_of(running.find(project), overrides or [])
