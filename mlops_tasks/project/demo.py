"""`mlops demo`: a project's first life, on real data, with the real tools.

Each step is a command that a person could type, run in the generated project's own environment.
What happens once the model is live is the affair of `demo_live`.

Guarantee: state is kept in the demo's folder; no store, server, ledger or repository that the
user's environment or Cookiecutter settings name is read or written.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from rich.markup import escape

from mlops_tasks.errors import ProjectError
from mlops_tasks.platform.prefect_server import prefect_server
from mlops_tasks.project.demo_live import Stage, live
from mlops_tasks.project.demo_steps import in_progress, mlops, run, say
from mlops_tasks.project.programs import SENT_ELSEWHERE, uv
from mlops_tasks.project.words import console

SLUG = "flight-delay"
# What would lead a step out of the demo's folder, or keep uv from writing its first lock file.
ELSEWHERE: tuple[str, ...] = ("MLOPS_", "MLFLOW_", "PREFECT_", "VIRTUAL_ENV")
ELSEWHERE += ("UV_PROJECT", "UV_WORKING_DIR", "UV_LOCKED", "UV_FROZEN")
REFUSED = 3
NEXT_MONTH = ("data.window.start=2013-07-01", "data.window.end=2013-08-01")


def run_demo(into: Path | None, template: str | None) -> None:
    """Generate, install, train twice, score, serve, drift, retrain, approve, roll back.

    Parameters
    ----------
    into
        A new or empty folder; a temporary one where None.
    template
        Folder or git URL; the checkout that this library runs from where None.

    Raises
    ------
    ProjectError
        If the folder is not empty, or there is no template here.
    PlatformError
        If a step does not end as it should.
    """
    source = template or _own_template()
    folder = _empty(into)
    home, project = folder / "mlops-home", folder / SLUG
    environment = _environment(home)
    began = time.perf_counter()

    say(1, "generate a project from the template")
    _generate(source, folder, environment)
    say(2, "install it (uv sync)")
    run([*uv(), "sync", "--quiet"], project, environment, waiting="installing")
    _lock(project, environment)

    with contextlib.ExitStack() as platform:
        with in_progress("starting a Prefect server for the demo"):
            environment["PREFECT_API_URL"] = platform.enter_context(
                prefect_server(home / "prefect", inherited=environment)
            )
        say(3, "train a small tree: the gate should refuse it, a straight line does better")
        mlops(project, environment, "train", "model=tree", expected=REFUSED)
        say(4, "train a forest: better than a straight line, so it becomes champion")
        mlops(project, environment, "train", "model=forest")
        say(5, "compare the runs")
        mlops(project, environment, "compare")
        say(6, "score the next month, which the champion has not seen")
        mlops(project, environment, "score", *NEXT_MONTH, "--out", "outputs/july.parquet")
        live(Stage(project, environment, platform))
    _where(project, home, time.perf_counter() - began)


def _own_template() -> str:
    root = Path(__file__).parents[2]
    if not (root / "cookiecutter.json").is_file():
        raise ProjectError(
            "this installation has no template beside it",
            where=str(root),
            next_step="name one: `mlops demo --template <folder or git URL>`",
        )
    return str(root)


def _empty(into: Path | None) -> Path:
    if into is None:
        return Path(tempfile.mkdtemp(prefix="mlops-demo-"))
    folder = into.expanduser().absolute()
    if folder.exists() and any(folder.iterdir()):
        raise ProjectError(
            "the folder for the demo is not empty",
            where=str(folder),
            next_step="name another with --into",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _environment(home: Path) -> dict[str, str]:
    """The user's environment without what points elsewhere, with the demo's own state."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ELSEWHERE) and name not in SENT_ELSEWHERE
    }
    return inherited | {
        "MLOPS_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "results"),
    }


def _generate(source: str, folder: Path, environment: Mapping[str, str]) -> None:
    run(
        [
            sys.executable,
            "-m",
            "cookiecutter",
            source,
            "--no-input",
            "--default-config",
            "--output-dir",
            str(folder),
            "project_name=Flight Delay",
        ],
        folder,
        environment,
        waiting="generating",
    )


def _lock(project: Path, environment: Mapping[str, str]) -> None:
    """Commit the lock file, so that the lineage of the trainings names a clean commit."""
    who = ["-c", "user.name=mlops demo", "-c", "user.email=demo@localhost"]
    for words in (["add", "-A"], [*who, "commit", "-qm", "Lock the environment"]):
        run(["git", *words], project, environment, waiting="committing")


def _where(project: Path, home: Path, seconds: float) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for name, path in (
        ("project", project),
        ("plot of the runs", project / "outputs" / "compare.html"),
        ("scores of July", project / "outputs" / "july.parquet"),
        ("windows watched", home / "artifacts" / f"{SLUG}-monitoring"),
        ("tracking store", home / "mlflow.db"),
        ("reports, models", home / "artifacts" / SLUG),
    ):
        table.add_row(f"[bold]{name}[/]", escape(str(path)))
    console.print(f"\n[bold green]done[/] in {seconds:.0f} s. Where everything is:")
    console.print(table)
    console.print(
        f"Go on there: [bold]cd {escape(str(project))}[/], "
        f"[bold]export MLOPS_HOME={escape(str(home))}[/], [bold]uv run mlops --help[/]",
        highlight=False,
        soft_wrap=True,
    )
