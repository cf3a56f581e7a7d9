"""Commands that split traffic: canary and shadow."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_tasks.cli.options import REFUSED, AsJson, ProjectFolder, Set, app

if TYPE_CHECKING:
    from mlops_tasks.serving.traffic.comparison import Role
    from mlops_tasks.serving.traffic.steps import Steered
    from mlops_tasks.settings import Settings

canary_app = typer.Typer(
    help="Let a version answer a share of the callers, and decide by what it did.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
shadow_app = typer.Typer(
    help="Ask a version what the champion is asked, and only log what it says.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(canary_app, name="canary")
app.add_typer(shadow_app, name="shadow")

Version = Annotated[int, typer.Argument(min=1, help="Of the model of the stack's stage.")]
Weight = Annotated[float, typer.Option(help="Share of the request keys: above 0, up to 1.")]
Reason = Annotated[str, typer.Option(help="Why; goes on record.")]


@canary_app.command("start", epilog="Example:  mlops canary start 7 --weight 0.1")
def start_canary(
    version: Version,
    weight: Weight,
    reason: Reason = "",
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let a version answer a share of the keys; the same keys at every request."""
    from mlops_tasks.project import words
    from mlops_tasks.serving.traffic import steering

    root, settings = _placed(project, overrides)
    with words.waiting("verifying the version"):
        done = steering.start_canary(root, settings, version, weight, reason=reason)
    _tell(settings, done, as_json)


@canary_app.command(epilog="Example:  mlops canary widen --weight 0.3 --reason 'no complaints'")
def widen(
    weight: Weight,
    reason: Reason = "",
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let the canary answer more; whom it answers now, it keeps."""
    from mlops_tasks.project import words
    from mlops_tasks.serving.traffic import steering

    root, settings = _placed(project, overrides)
    with words.waiting("verifying the version"):
        done = steering.widen_canary(root, settings, weight, reason=reason)
    _tell(settings, done, as_json)


@canary_app.command(epilog="Example:  mlops canary hold --reason 'wait for the labels of Friday'")
def hold(
    reason: Reason = "",
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Put on record that the canary stays as it is for now."""
    from mlops_tasks.serving.traffic import steering

    settings = _settings(project, overrides)
    _tell(settings, steering.hold_canary(settings, reason=reason), as_json)


@canary_app.command("withdraw", epilog="Example:  mlops canary withdraw --reason 'late answers'")
def withdraw_canary(
    reason: Reason = "",
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let the champion answer everybody again; needs no registry."""
    from mlops_tasks.serving.traffic import steering

    settings = _settings(project, overrides)
    _tell(settings, steering.withdraw_canary(settings, reason=reason), as_json)


@canary_app.command(epilog="Example:  mlops canary status --json")
def status(
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Say how traffic is split now, and who decided that."""
    from mlops_tasks.governance.record import ledger_of
    from mlops_tasks.project import words
    from mlops_tasks.serving.traffic.state import recorded
    from mlops_tasks.serving.traffic.words import status_lines

    settings = _settings(project, overrides)
    now = recorded(ledger_of(settings.stack), settings.registered_model)
    _show(status_lines(settings.registered_model, now))
    if as_json:
        words.as_json(now.traffic)


@canary_app.command("compare", epilog="Example:  mlops canary compare --json")
def compare_canary(
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Hold the canary's answers against the champion's; exit code 3 where the gate says no."""
    _compare("canary", project, overrides, as_json)


@shadow_app.command("start", epilog="Example:  mlops shadow start 7")
def start_shadow(
    version: Version,
    reason: Reason = "",
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let a version be asked too; it answers nobody."""
    from mlops_tasks.project import words
    from mlops_tasks.serving.traffic import steering

    _, settings = _placed(project, overrides)
    with words.waiting("verifying the version"):
        done = steering.start_shadow(settings, version, reason=reason)
    _tell(settings, done, as_json)


@shadow_app.command("withdraw", epilog="Example:  mlops shadow withdraw")
def withdraw_shadow(
    reason: Reason = "",
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Ask the shadow no more; needs no registry."""
    from mlops_tasks.serving.traffic import steering

    settings = _settings(project, overrides)
    _tell(settings, steering.withdraw_shadow(settings, reason=reason), as_json)


@shadow_app.command("compare", epilog="Example:  mlops shadow compare")
def compare_shadow(
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Hold the shadow's answers against the champion's; exit code 3 where the gate says no."""
    _compare("shadow", project, overrides, as_json)


def _placed(project: Path, overrides: list[str] | None) -> "tuple[Path, Settings]":
    from mlops_tasks.project import running

    where = running.find(project)
    return where.root, running.placed_settings_of(where, overrides or [])


def _settings(project: Path, overrides: list[str] | None) -> "Settings":
    from mlops_tasks.project import running

    return running.settings_of(running.find(project), overrides or [])


def _tell(settings: "Settings", done: "Steered", as_json: bool) -> None:
    from mlops_tasks.project import words
    from mlops_tasks.serving.traffic.words import split_lines

    _show(split_lines(settings.registered_model, done.traffic))
    if done.entry is None:
        _show(["  it was so before"])
    if as_json:
        words.as_json(done.traffic)


def _compare(role: "Role", project: Path, overrides: list[str] | None, as_json: bool) -> None:
    from mlops_tasks.project import words
    from mlops_tasks.serving.traffic.findings import keep
    from mlops_tasks.serving.traffic.trial import trial_of
    from mlops_tasks.serving.traffic.words import trial_lines

    _, settings = _placed(project, overrides)
    with words.waiting("reading the log"):
        found = trial_of(settings, role)
    kept = keep(settings, found)
    _show(trial_lines(found))
    _show([f"on record: entry {kept.seq}, report {kept.event.digests['report'][:12]}"])
    if as_json:
        words.as_json(found)
    if not found.decision.accepted:
        raise typer.Exit(REFUSED)


def _show(lines: Iterable[str]) -> None:
    from rich.markup import escape

    from mlops_tasks.project.words import console

    for line in lines:
        console.print(escape(line), highlight=False, soft_wrap=True)
