"""What the local platform costs and saves: time until it is ready, and a training with and without.

`mlops up` on SQLite and on the embedded PostgreSQL, in new homes and in homes that have been used;
`mlops train` with the platform up against the same training with Prefect's in-process server, in
turn, with nothing cached. Everything is a fresh process.

Reproduce: uv run python benchmarks/local_platform.py          (`--rounds 5`, `--without-embedded`)
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

from processes import ROOT, clean, run, script
from rich.console import Console

DATABASES = ("sqlite", "embedded")
FIRST_SEED = 2000
console = Console(stderr=True)


def main() -> None:
    options = _options()
    rounds: int = options.rounds
    rows: list[tuple[str, list[float]]] = []
    with tempfile.TemporaryDirectory(prefix="mlops-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        project = _project(folder)
        for database in DATABASES[: 1 if options.without_embedded else None]:
            rows += _starts(folder, database, rounds)
        rows += _trainings(folder, project, rounds)
    _print(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed")
    parser.add_argument("--without-embedded", action="store_true", help="SQLite only")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _project(folder: Path) -> Path:
    cookiecutter = (sys.executable, "-m", "cookiecutter")
    command = (*cookiecutter, ROOT, "--no-input", "--output-dir", folder / "projects")
    run(command, clean(MLOPS_HOME=str(folder / "generation")))
    return next((folder / "projects").iterdir())


def _starts(folder: Path, database: str, rounds: int) -> list[tuple[str, list[float]]]:
    """Seconds until all is ready: the first time, stopped and started, and when it runs already."""
    first, again, running = [], [], []
    for number in range(rounds):
        home = folder / f"{database[0]}{number}"  # short: PostgreSQL's socket lies in it
        environment = clean(MLOPS_HOME=str(home))
        up = [script("mlops"), "up", "--database", database]
        try:
            first.append(run(up, environment).seconds)
            running.append(run(up, environment).seconds)
            run([script("mlops"), "down"], environment)
            again.append(run(up, environment).seconds)
        finally:
            run([script("mlops"), "down"], environment)
            shutil.rmtree(home, ignore_errors=True)
        _tell(f"{database}, round {number + 1} of {rounds}: {first[-1]:.1f} s")
    return [
        (f"mlops up, {database}: first time", first),
        (f"mlops up, {database}: after mlops down", again),
        (f"mlops up, {database}: everything runs", running),
    ]


def _trainings(folder: Path, project: Path, rounds: int) -> list[tuple[str, list[float]]]:
    """The same training against the running platform and against an in-process server, in turn."""
    seconds: dict[str, list[float]] = {"platform": [], "in-process": []}
    homes = {name: clean(MLOPS_HOME=str(folder / name[0])) for name in seconds}
    for environment in homes.values():
        environment["PYTHONPATH"] = str(project / "src")
    run([script("mlops"), "up"], homes["platform"])
    try:
        for number in range(rounds + 1):
            for name in sorted(seconds, reverse=number % 2 == 0):
                train = [script("mlops"), "train", f"seed={FIRST_SEED + number}"]
                took = run(train, homes[name], folder=project, expected=(0, 3)).seconds
                if number:  # the first makes databases and the champion
                    seconds[name].append(took)
            _tell(f"trainings, round {number} of {rounds}")
    finally:
        run([script("mlops"), "down"], homes["platform"])
    ratios = [a / b for a, b in zip(seconds["platform"], seconds["in-process"], strict=True)]
    return [
        ("mlops train, platform up", seconds["platform"]),
        ("mlops train, in-process server", seconds["in-process"]),
        ("ratio", ratios),
    ]


def _print(rows: list[tuple[str, list[float]]]) -> None:
    names = ("prefect", "mlflow")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load {_load()}"
    print(f"Python {platform.python_version()}, {versions}; {machine}\n")
    print("| what | median, s | min to max |\n| --- | --- | --- |")
    for what, values in rows:
        print(f"| {what} | {median(values):.2f} | {min(values):.2f} to {max(values):.2f} |")


def _tell(what: str) -> None:
    console.print(f"{what}; load {_load()}", highlight=False)


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
