"""Commands of the local platform: up, down, status, logs.

Exit codes of `status`: 0 all is ready, 3 a part is down, 1 nothing runs.
"""

from typing import Annotated

import typer

from mlops_tasks.cli.options import REFUSED, AsJson, app

NOTHING = 1


@app.command(
    epilog="Examples:  mlops up   ·   mlops up --database embedded   ·   "
    "PGPASSWORD=… mlops up --database postgresql://ada@db.example.org/mlops"
)
def up(
    database: Annotated[
        str | None,
        typer.Option(
            help="`sqlite`, `embedded` (a PostgreSQL of its own) or postgresql://user@host/name, "
            "its password in PGPASSWORD or ~/.pgpass. By default what it was before; first SQLite.",
        ),
    ] = None,
    port_base: Annotated[
        int | None,
        typer.Option(
            min=1024, max=65533, help="Prefect's port; MLflow and the worker get the next two."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start Prefect, MLflow and a worker in the background, or what is missing of them."""
    from mlops_tasks.environment import home
    from mlops_tasks.platform.services.status import status
    from mlops_tasks.platform.services.up import up as start
    from mlops_tasks.project import platform_words, words

    with platform_words.progress() as tell:
        start(home(), choice=database, port_base=port_base, tell=tell)
    found = status(home())
    platform_words.told(found)
    if as_json:
        words.as_json(found)


@app.command()
def down() -> None:
    """Stop them; data stay where they are."""
    from mlops_tasks.environment import home
    from mlops_tasks.platform.services.down import down as stop
    from mlops_tasks.project import platform_words

    with platform_words.progress() as tell:
        ran = stop(home(), tell=tell)
    platform_words.stopped(ran)


@app.command()
def status(
    as_json: AsJson = False,
    export: Annotated[
        bool,
        typer.Option(
            "--export",
            help="Print addresses and key as shell variables, for `prefect` itself: "
            'eval "$(mlops status --export)"',
        ),
    ] = False,
) -> None:
    """Show what runs, where, and whether it answers."""
    from mlops_tasks.environment import home
    from mlops_tasks.platform.services.status import status as ask
    from mlops_tasks.project import platform_words, words

    found = ask(home())
    if export:
        platform_words.export(home())
    elif as_json:
        words.as_json(found)
    else:
        platform_words.table(found)
    if not found.ready:
        raise typer.Exit(REFUSED if found.running else NOTHING)


@app.command(epilog="Example:  mlops logs worker --follow")
def logs(
    service: Annotated[
        str | None, typer.Argument(help="prefect, mlflow, worker or postgres; all by default.")
    ] = None,
    lines: Annotated[int, typer.Option(min=0, help="The last so many of each.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show what the services said."""
    from mlops_tasks.environment import home
    from mlops_tasks.project import platform_words

    platform_words.logs(home(), service, lines, follow)
