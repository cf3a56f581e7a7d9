"""Commands of the model owner: promote, approve, reject, rollback, history."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mlops_tasks.cli.options import WAITING, AsJson, ProjectFolder, Set, app

Model = Annotated[
    str | None,
    typer.Argument(help="The registered model; by default that of the stack's stage."),
]
To = Annotated[str | None, typer.Option("--to", help="The stage: dev, staging or prod.")]
Reason = Annotated[str, typer.Option(help="Why; goes on record.")]
RequestId = Annotated[
    str | None, typer.Option("--request", help="The request, by the beginning of its id.")
]
Key = Annotated[
    Path | None, typer.Option(help="Your SSH key; by default the one that git signs with.")
]


@app.command(epilog="Examples:  mlops promote   ·   mlops promote --to prod   ·   --version 3")
def promote(
    to: To = None,
    version: Annotated[int | None, typer.Option(min=1, help="By default the challenger.")] = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Make a version champion of a stage, or open the request for its approval."""
    from mlops_tasks.project import governing, governing_words, running, words
    from mlops_tasks.registry.proposals import promote

    where = running.find(project)
    settings = running.placed_settings_of(where, overrides or [])
    stage = governing.stage_named(to)
    with words.waiting("verifying the version and its evidence"):
        found = promote(where.root, settings, to=stage, version=version)
    governing_words.proposal(found)
    if as_json:
        words.as_json(found)
    if found.standing != "champion":
        raise typer.Exit(WAITING)


@app.command(epilog="Example:  mlops approve flight-delay.prod --reason 'looks right on JFK'")
def approve(
    model: Model = None,
    reason: Reason = "",
    request: RequestId = None,
    key: Key = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Sign a yes to the request that waits, with your SSH key."""
    _vote("yes", model, reason, request, key, overrides, project, as_json)


@app.command(epilog="Example:  mlops reject --reason 'the slice of small airports is too weak'")
def reject(
    model: Model = None,
    reason: Reason = "",
    request: RequestId = None,
    key: Key = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Sign a no to the request that waits; one is enough."""
    _vote("no", model, reason, request, key, overrides, project, as_json)


def _vote(
    choice: Literal["yes", "no"],
    model: str | None,
    reason: str,
    request: str | None,
    key: Path | None,
    overrides: list[str] | None,
    project: Path,
    as_json: bool,
) -> None:
    from mlops_tasks.project import governing, governing_words, running, words

    where = running.find(project)
    settings = running.settings_of(where, overrides or [])
    filed = governing.pending(where.root, settings, governing.models(settings, model), request)
    governing_words.request(filed.request)
    standing = governing.vote(where.root, settings, filed.request, choice, reason, key)
    governing_words.standing(standing, filed.request.model)
    if filed.flow_run and standing.state != "waiting":
        from mlops_tasks.platform.approval_wait import wake

        words.console.print(f"  {wake(filed.flow_run)}")
    if as_json:
        words.as_json(standing)


@app.command(
    epilog="Examples:  mlops rollback --reason 'late on Fridays'   ·   mlops rollback --to 2"
)
def rollback(
    model: Model = None,
    to: Annotated[int | None, typer.Option(min=1, help="A version that was champion.")] = None,
    reason: Reason = "",
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Make the previous champion answer again, at once; no approval is asked for."""
    from mlops_tasks.project import governing, running, words
    from mlops_tasks.registry.rollback import rollback

    settings = running.settings_of(running.find(project), overrides or [])
    chosen = governing.named(settings, model)
    with words.waiting("verifying the version to go back to"):
        moved = rollback(settings.stack, chosen, to=to, reason=reason)
    words.console.print(f"[bold green]{chosen} version {moved.version} is champion[/]")
    if as_json:
        words.as_json({"model": chosen, "version": moved.version})


@app.command(epilog="Example:  mlops history flight-delay --at 2026-03-03")
def history(
    model: Model = None,
    at: Annotated[
        str | None, typer.Option(help="An ISO date (its end) or time; without a zone in UTC.")
    ] = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Say which version was champion when, who put it there, and on whose approval."""
    from mlops_tasks.governance.record import ledger_of
    from mlops_tasks.project import governing, governing_words, running, words
    from mlops_tasks.registry.history import champion_at, reigns, standing_champion

    settings = running.settings_of(running.find(project), overrides or [])
    chosen, ledger = governing.named(settings, model), ledger_of(settings.stack)
    if at:
        found = champion_at(ledger, chosen, governing.moment(at))
        rows = [found] if found else []
    else:
        rows = reigns(ledger, chosen)
    if as_json:
        words.as_json(rows)
    else:
        now = rows[-1].version if at and rows else standing_champion(settings.stack, chosen)
        governing_words.history(chosen, rows, now)
