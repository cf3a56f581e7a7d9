"""What a step costs as a task of `mlops_tasks.tasks`, over the same function bare in Prefect.

Both keep their results on disk and have a key by which these are found again; each round has inputs
of its own, so nothing is found. The two take turns against one server. A step on data is also
checked by residency, which a bare task is not; where a run has not allowed the same before, that is
an event in the ledger, on disk before the step begins. Both have rows of their own.

Reproduce: uv run python benchmarks/switchboard.py     (`--rounds 5`, `--steps 40`, `--mapped 500`)
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
INNER = "{{cookiecutter.project_slug}}"
AIM = 1.05
OURS, BARE = "ours", "bare"
console = Console(width=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="steps of a flow")
    parser.add_argument("--mapped", type=int, default=500, help="steps on two processes")
    parser.add_argument("--mapped-rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="switchboard-") as name:
        folder = Path(name)
        os.environ["MLOPS_HOME"] = str(folder / "home")
        os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
        os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
        sys.path.insert(0, str(ROOT / "benchmarks"))

        from mlops_tasks.platform.prefect_server import prefect_server

        with prefect_server(folder / "server") as url:
            os.environ["PREFECT_API_URL"] = url
            from prefect.settings import PREFECT_API_URL, temporary_settings

            with temporary_settings({PREFECT_API_URL: url}):
                console.print(_measure(folder, options))


def _measure(folder: Path, options: argparse.Namespace) -> Table:
    table = Table(title="The switchboard", title_justify="left")
    for name in ("what", "ours", "bare", "ratio", "min to max", "aim", "met"):
        table.add_column(name)
    plain = {kind: _tasks(kind, named) for kind in (OURS, BARE)}
    data = {kind: _tasks(kind, rows_of_data) for kind in (OURS, BARE)}
    settings, dataset = _entered(folder)

    rounds = _steps(plain, lambda number: "text", options, settings)
    _row(table, "one step, ms", rounds, 1000)
    rounds = _steps(data, lambda number: dataset, options, settings)
    _row(table, "one step on data, ms", rounds, 1000)
    rounds = _steps(data, lambda number: replace(dataset, digest=str(number)), options, settings)
    _row(table, "one step on new data, ms", rounds, 1000)
    if options.mapped:
        rounds = [
            _mapped(plain, options.mapped, number, settings)
            for number in range(options.rounds, options.rounds + options.mapped_rounds)
        ]
        _row(table, f"{options.mapped} mapped steps on 2 processes, s", rounds, 1)
    return table


def named(text: Any, number: int) -> Any:
    """As little as a step can do: artifacts are what travels between steps."""
    from mlops_tasks.artifacts import Code

    return Code(str(text), str(number))


def rows_of_data(dataset: Any, number: int) -> Any:
    """The same for one that is given data."""
    return named(dataset.rows, number)


def _tasks(kind: str, function: Callable[..., Any]) -> Any:
    # Found by name in the processes of the mapped steps, as functions of the library are.
    import switchboard
    from prefect import task
    from prefect.cache_policies import INPUTS, TASK_SOURCE

    from mlops_tasks import tasks

    found = getattr(switchboard, function.__name__)
    if kind == OURS:
        return tasks._cached(found, found.__name__, tasks.BY_CONTENT)
    policy = INPUTS + TASK_SOURCE
    return task(found, name=found.__name__, persist_result=True, cache_policy=policy)


def _steps(
    tasks: dict[str, Any],
    subject: Callable[[int], Any],
    options: argparse.Namespace,
    settings: Any,
) -> list[tuple[float, float]]:
    """Median seconds of a step of ours and of a bare one, round by round; they take turns."""
    from prefect import flow

    from mlops_tasks.governance import residency

    @flow(name="steps")
    def steps(salt: int) -> tuple[float, float]:
        residency.enter(settings)
        seconds: dict[str, list[float]] = {OURS: [], BARE: []}
        for number in range(options.steps):
            for kind in (OURS, BARE) if number % 2 else (BARE, OURS):
                given = subject(number)
                started = time.perf_counter()
                state = tasks[kind](given, salt * 1_000_000 + number, return_state=True)
                seconds[kind].append(time.perf_counter() - started)
                if state.name != "Completed":  # not cached, and its result was kept
                    raise SystemExit(f"{kind}: {state.name}")
        return median(seconds[OURS]), median(seconds[BARE])

    steps(-1)  # what is imported and connected once
    return [steps(number) for number in range(options.rounds)]


def _mapped(tasks: dict[str, Any], steps: int, salt: int, settings: Any) -> tuple[float, float]:
    """Seconds that all steps take with ours and bare, starting the processes included."""
    from prefect import flow, unmapped
    from prefect.task_runners import ProcessPoolTaskRunner

    from mlops_tasks.governance import residency

    @flow(name="mapped", task_runner=ProcessPoolTaskRunner(max_workers=2))
    def mapped(kind: str) -> float:
        residency.enter(settings)
        started = time.perf_counter()
        numbers = [salt * 1_000_000 + number for number in range(steps)]
        results = tasks[kind].map(unmapped("text"), numbers).result()
        if [each.digest for each in results] != [str(number) for number in numbers]:
            raise SystemExit("results were lost")
        return time.perf_counter() - started

    seconds = {kind: mapped(kind) for kind in ((OURS, BARE) if salt % 2 else (BARE, OURS))}
    return seconds[OURS], seconds[BARE]


def _entered(folder: Path) -> tuple[Any, Any]:
    """The configuration of a new project, and a dataset that may be where it says."""
    from mlops_tasks.data.versions import snapshot
    from mlops_tasks.settings.compose import compose

    template = folder / "template"
    shutil.copytree(ROOT / INNER, template / INNER, ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "cookiecutter.json", template)
    (folder / "none.yaml").write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(folder)]
    environment = os.environ | {"COOKIECUTTER_CONFIG": str(folder / "none.yaml")}
    subprocess.run([*command, str(template)], check=True, env=environment, capture_output=True)
    root = folder / "flight-delay"
    for word in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "add", "-q", _DATA]):
        program = [sys.executable, "-m", "dvc"] if word[0] == "dvc" else ["git"]
        subprocess.run([*program, *word[1:]], cwd=root, check=True, capture_output=True)
    settings = compose(root)
    dataset = snapshot(
        str(root), settings.data.path, store=settings.stack.store, residency=settings.residency
    )
    return settings, dataset


_DATA = "data/flights.parquet"


def _row(table: Table, what: str, rounds: Sequence[tuple[float, float]], factor: float) -> None:
    ours, bare = (median(each) * factor for each in zip(*rounds, strict=True))
    ratios = [mine / theirs for mine, theirs in rounds]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    met = "yes" if median(ratios) <= AIM else "no"
    figures = (f"{ours:.1f}", f"{bare:.1f}", f"{median(ratios):.2f}", spread)
    table.add_row(what, *figures, f"at most {AIM:g}", met)


if __name__ == "__main__":
    main()
