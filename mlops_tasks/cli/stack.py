"""Commands of the engineer who owns the stacks: check one, and see what becomes of it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlops_tasks.cli.options import REFUSED, AsJson, Overrides, ProjectFolder, app

stack_app = typer.Typer(
    help="Check where work would run, and see what each platform is told.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(stack_app, name="stack")


class Form(StrEnum):
    """In whose words a stack is shown."""

    prefect = "prefect"
    kubernetes = "kubernetes"


@stack_app.command(
    "check", epilog="Examples:  mlops stack check   ·   mlops stack check stack=aws --offline"
)
def check(
    overrides: Overrides = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no service; look at the configuration only.")
    ] = False,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Find all that is wrong with a stack at once, before anything is submitted.

    Exit code 3 if there is something. No secret is ever shown.
    """
    from mlops_tasks.project import running, stack_check, stack_words, words

    where = running.find(project)
    with words.waiting("asking the services of the stack"):
        found = stack_check.check(where.root, overrides or [], ask=not offline)
    if as_json:
        words.as_json(found)
    else:
        stack_words.findings(stack_check.chosen(overrides or []), found)
    if found:
        raise typer.Exit(REFUSED)


@stack_app.command("show", epilog="Example:  mlops stack show stack=kubernetes --as kubernetes")
def show(
    overrides: Overrides = None,
    form: Annotated[Form, typer.Option("--as", help="In whose words.")] = Form.prefect,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Print the job variables that a deployment would have, or the Kubernetes Job made of them."""
    from mlops_tasks.infrastructure.job_environment import job_environment
    from mlops_tasks.infrastructure.secrets import shown
    from mlops_tasks.infrastructure.translation import job_variables
    from mlops_tasks.project import running, stack_check, stack_words, words

    where = running.find(project)
    environment = job_environment(where.root, overrides or [])
    settings = running.settings_of(where, overrides or [])
    variables = shown(job_variables(settings.stack.compute, environment))
    document = variables
    if form is Form.kubernetes:
        document = stack_check.manifest(settings, variables)
    if as_json:
        words.as_json(document)
    else:
        typer.echo(stack_words.as_yaml(document), nl=False)
