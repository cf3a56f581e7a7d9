"""Commands of who runs a server: serve, and the API keys of those who may ask it."""

from pathlib import Path
from typing import Annotated

import typer

from mlops_tasks.cli.options import INTERRUPTED, AsJson, ProjectFolder, Set, app
from mlops_tasks.serving.online.options import Options

keys_app = typer.Typer(help="Who may ask a server: API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

BY_DEFAULT = Options()

KeyFile = Annotated[
    Path | None,
    typer.Option("--keys", help="File of API keys; by default that of the stack's key folder."),
]
Name = Annotated[str, typer.Argument(help="Whose key it is: small letters, digits and `-`.")]


@app.command(epilog="Examples:  mlops serve   ·   mlops serve --port 0 --set stack=team")
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes one that is free.")
    ] = 8000,
    version: Annotated[
        int | None,
        typer.Option(min=1, help="Answer with this version alone, while it is champion or canary."),
    ] = None,
    canary: Annotated[
        bool, typer.Option(help="Answer a canary's share here too; not where a cluster splits.")
    ] = BY_DEFAULT.canary,
    max_rows: Annotated[
        int, typer.Option(min=1, help="The most rows of one request.")
    ] = BY_DEFAULT.max_rows,
    max_bytes: Annotated[
        int, typer.Option(min=1, help="The largest body of a request, in bytes.")
    ] = BY_DEFAULT.max_body_bytes,
    body_seconds: Annotated[
        float, typer.Option(min=0.001, help="How long a body may take to arrive, in seconds.")
    ] = BY_DEFAULT.body_seconds,
    predict_seconds: Annotated[
        float, typer.Option(min=0.001, help="How long a model may take over one, in seconds.")
    ] = BY_DEFAULT.predict_seconds,
    max_connections: Annotated[
        int, typer.Option(min=1, help="The most connections that are open at once.")
    ] = BY_DEFAULT.max_connections,
    keys: KeyFile = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
) -> None:
    """Answer over HTTP with the champion, until Ctrl-C; it follows promotions and rollbacks."""
    import logging

    from mlops_tasks.project import running
    from mlops_tasks.serving.online.server import serve

    settings = running.placed_settings_of(running.find(project), overrides or [])
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("mlops_tasks.serving").setLevel(logging.INFO)
    try:
        serve(
            settings,
            Options(
                keys=keys,
                version=version,
                canary=canary,
                max_rows=max_rows,
                max_body_bytes=max_bytes,
                body_seconds=body_seconds,
                predict_seconds=predict_seconds,
                max_connections=max_connections,
            ),
            host=host,
            port=port,
            listening=_listening,
        )
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _listening(url: str) -> None:
    typer.echo(url)


@keys_app.command(epilog="Example:  mlops keys add checkout --scope predict")
def add(
    name: Name,
    scope: Annotated[
        list[str], typer.Option(help="What it is good for: predict, admin. May be repeated.")
    ],
    keys: KeyFile = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Make a key and show it: this once, and never again."""
    from mlops_tasks.project import words
    from mlops_tasks.serving.online.keys import create_key

    secret = create_key(_file(keys, overrides, project), name, scope)
    if as_json:
        words.as_json({"name": name, "scopes": scope, "key": secret})
        return
    words.console.print("[bold]Keep it now: it cannot be shown again.[/]")
    typer.echo(secret)


@keys_app.command("list", epilog="Example:  mlops keys list --json")
def list_keys(
    keys: KeyFile = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Say whose keys there are and what they are good for."""
    from mlops_tasks.project import words
    from mlops_tasks.serving.online.keys import read_keys

    found = read_keys(_file(keys, overrides, project))
    if as_json:
        shown = [{"name": k.name, "scopes": k.scopes, "created": k.created} for k in found]
        words.as_json(shown)
        return
    for each in found:
        typer.echo(f"{each.name}  {', '.join(each.scopes)}  since {each.created}")


@keys_app.command(epilog="Example:  mlops keys remove checkout")
def remove(
    name: Name,
    keys: KeyFile = None,
    overrides: Set = None,
    project: ProjectFolder = Path(),
) -> None:
    """Forget a key; running servers refuse it at once."""
    from mlops_tasks.project import words
    from mlops_tasks.serving.online.keys import revoke_key

    revoke_key(_file(keys, overrides, project), name)
    words.console.print(f"[bold]{name} may not ask any more[/]")


def _file(keys: Path | None, overrides: list[str] | None, project: Path) -> Path:
    from mlops_tasks.project import running
    from mlops_tasks.serving.online.keys import key_file

    return keys or key_file(running.settings_of(running.find(project), overrides or []).stack)
