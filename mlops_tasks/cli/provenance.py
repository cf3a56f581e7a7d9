"""Commands that ask where a model comes from: lineage, reproduce."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mlops_tasks.cli.options import REFUSED, AsJson, ProjectFolder, Set, app

Version = Annotated[
    str | None,
    typer.Argument(
        help="MODEL, MODEL@champion, @previous, @challenger or MODEL@3; by default the champion "
        "of the stack's stage.",
        metavar="MODEL[@VERSION]",
    ),
]


@app.command(
    epilog="Examples:  mlops lineage flight-delay.prod@champion   ·   "
    "mlops lineage --from-data 3c41a0b2"
)
def lineage(
    model: Version = None,
    from_data: Annotated[
        str | None,
        typer.Option(
            "--from-data",
            help="Instead: which models saw this data? The beginning (6 characters or more) of the "
            "digest of a snapshot or of training rows, or of a DVC revision.",
            metavar="DIGEST",
        ),
    ] = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Say what a version was made from, and what was done with it since."""
    from mlops_tasks.governance.record import ledger_of
    from mlops_tasks.project import ancestry_words, governing, running, words
    from mlops_tasks.registry.ancestry import ancestry, parse_version
    from mlops_tasks.registry.descendants import descendants

    if model is not None and from_data is not None:
        raise typer.BadParameter("name a model or --from-data, not both")
    settings = running.settings_of(running.find(project), overrides or [])
    if from_data is not None:
        models = descendants(ledger_of(settings.stack), from_data)
        if as_json:
            words.as_json(models)
        else:
            ancestry_words.descendants(from_data, models)
        return
    name, which = parse_version(model)
    found = ancestry(settings.stack, governing.named(settings, name), which)
    if as_json:
        words.as_json(found)
    else:
        ancestry_words.lineage(found)


@app.command(epilog="Example:  mlops reproduce flight-delay@3 --tolerance 1e-9")
def reproduce(
    model: Version = None,
    environment: Annotated[
        Literal["locked", "current"],
        typer.Option(help="The environment of the commit's uv.lock, or the one you run this in."),
    ] = "locked",
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="How far each metric may be from the recorded one.")
    ] = 0.0,
    despite_changes: Annotated[
        bool,
        typer.Option("--despite-changes", help="Also if it was trained with uncommitted changes."),
    ] = False,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Make a version again from its commit, data and configuration, and compare.

    Exit code 3 if it does not come out the same. Touches nothing but the ledger, which records it.
    """
    from mlops_tasks.project import ancestry_words, governing, running, words
    from mlops_tasks.project.reproduce import reproduce
    from mlops_tasks.registry.ancestry import parse_version

    where = running.find(project)
    settings = running.settings_of(where, overrides or [])
    name, which = parse_version(model)
    found = reproduce(
        where.root,
        settings,
        governing.named(settings, name),
        which,
        environment=environment,
        tolerance=tolerance,
        despite_changes=despite_changes,
    )
    if as_json:
        words.as_json(found)
    else:
        ancestry_words.reproduction(found)
    if not found.agrees:
        raise typer.Exit(REFUSED)
