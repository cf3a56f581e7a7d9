"""The command that puts a project's flows on a server: deploy."""

from pathlib import Path
from typing import Annotated

import typer

from mlops_tasks.cli.options import AsJson, Overrides, ProjectFolder, app


@app.command(
    epilog="Examples:  mlops deploy   ·   mlops deploy stack=team stack.stage=prod --dry-run   ·   "
    "mlops deploy --prune"
)
def deploy(
    overrides: Overrides = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete deployments that prefect.yaml no longer has.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show; change nothing.")
    ] = False,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Deploy train, score and monitor for a stack and stage; each run gets the same overrides."""
    import yaml

    from mlops_tasks.platform.deployments import deploying
    from mlops_tasks.project import running, words

    where = running.find(project)
    with words.waiting("deploying" if not dry_run else "asking the server"):
        done = deploying.deploy(where.root, overrides or [], prune=prune, dry_run=dry_run)
    if as_json:
        words.as_json(done)
        return
    if dry_run:
        typer.echo(yaml.safe_dump(done.content, sort_keys=False), nl=False)
    for each in done.deployments:
        words.console.print(f"  {each.name}  [dim]pool {each.work_pool}[/]", highlight=False)
    for each in done.orphans:
        what = "deleted" if done.pruned else "not in prefect.yaml; --prune deletes it"
        words.console.print(f"  [yellow]{each.name}[/]  {what}", highlight=False)
