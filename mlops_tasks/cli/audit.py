"""Commands of the auditor: read the ledger, verify it, have it witnessed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_tasks.cli.options import REFUSED, AsJson, ProjectFolder, Set, app

audit_app = typer.Typer(
    help="Read and verify the record of who did what.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(audit_app, name="audit")


@audit_app.command(
    "log", epilog="Example:  mlops audit log --action promotion --since 2026-03-01 --json"
)
def log(
    actor: Annotated[str, typer.Option(help="Who, exactly as recorded.")] = "",
    action: Annotated[
        list[str] | None, typer.Option(help="What, for example promotion; may be repeated.")
    ] = None,
    subject: Annotated[str, typer.Option(help="To what, for example a model's name.")] = "",
    outcome: Annotated[str, typer.Option(help="How it ended, for example done.")] = "",
    since: Annotated[str | None, typer.Option(help="An ISO date or time; UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="An ISO date (its end) or time; UTC.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 100,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """List events; with --json one JSON object a line."""
    from mlops_tasks.governance.ledger import Wanted
    from mlops_tasks.governance.record import ledger_of
    from mlops_tasks.project import audit_words, governing

    settings = _settings(project, overrides)
    wanted = Wanted(
        actor=actor,
        action=tuple(action or ()),
        subject=subject,
        outcome=outcome,
        since=governing.moment(since, end=False) if since else "",
        until=governing.moment(until) if until else "",
    )
    found = ledger_of(settings.stack).entries(wanted, newest=True, limit=limit)[::-1]
    if not as_json:
        audit_words.log(found)
        return
    from pydantic_core import to_json

    for entry in found:
        typer.echo(to_json(entry).decode())


@audit_app.command("verify", epilog="Example:  mlops audit verify --key auditor/ledger.pub.pem")
def verify(
    key: Annotated[
        Path | None,
        typer.Option(help="The ledger's public key as you were given it; else the stack's own."),
    ] = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Recompute every hash and hold the chain against the signed checkpoints.

    Exit code 3 names the first entry that cannot be trusted.
    """
    from mlops_tasks.governance.record import audit
    from mlops_tasks.project import audit_words, words

    stack = _settings(project, overrides).stack
    with words.waiting("verifying the ledger"):
        found = audit(stack, key)
    audit_words.verdict(found, stack.ledger, stack.anchor)
    if as_json:
        words.as_json(found)
    if not found.true:
        raise typer.Exit(REFUSED)


@audit_app.command("checkpoint", epilog="Example:  mlops audit checkpoint --set stack=team")
def checkpoint(overrides: Set = None, project: ProjectFolder = Path()) -> None:
    """Sign how long the ledger is now, and keep that outside the database."""
    from mlops_tasks.governance.record import witness
    from mlops_tasks.project import audit_words

    stack = _settings(project, overrides).stack
    witness(stack)
    audit_words.witnessed(stack.anchor)


def _settings(project: Path, overrides: list[str] | None) -> Any:
    from mlops_tasks.project import running

    return running.settings_of(running.find(project), overrides or [])
