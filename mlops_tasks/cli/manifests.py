"""The command that writes manifests for a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from mlops_tasks.cli.options import AsJson, ProjectFolder, Set, app


@app.command(epilog="Example:  mlops manifests --image registry/flight-delay@sha256:… --out deploy")
def manifests(
    image: Annotated[str, typer.Option(help="The project's image, best by digest.")],
    out: Annotated[Path, typer.Option(help="The folder that gets the YAML files.")],
    replicas: Annotated[int, typer.Option(min=1, help="Pods in all.")] = 3,
    cpu: Annotated[str, typer.Option(help="Of one pod, for example 500m.")] = "1",
    memory: Annotated[str, typer.Option(help="Of one pod, for example 1Gi.")] = "1Gi",
    secret: Annotated[str, typer.Option(help="A Secret with more variables.")] = "",
    keys_secret: Annotated[
        str, typer.Option(help="A Secret with the key folder; public keys do.")
    ] = "",
    overrides: Set = None,
    project: ProjectFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """Write Kubernetes and KServe manifests for the champion and the canary of now."""
    from rich.markup import escape

    from mlops_tasks.project import running, words
    from mlops_tasks.serving.traffic.deployment import write_manifests

    settings = running.settings_of(running.find(project), overrides or [])
    written = write_manifests(
        settings,
        out,
        image=image,
        replicas=replicas,
        cpu=cpu,
        memory=memory,
        secret=secret,
        keys_secret=keys_secret,
        overrides=tuple(overrides or ()),
    )
    for path in written:
        words.console.print(f"wrote {escape(str(path))}", highlight=False, soft_wrap=True)
    if as_json:
        words.as_json([str(path) for path in written])
