"""What a project's first life costs: generation, help, training against a plain script and ZenML.

All contenders do the same work in fresh processes, with nothing cached, in turn; after each round
the records in their registries (model digest, decision, metrics) are compared.

Reproduce: uv run python benchmarks/first_life.py          (`--without-zenml`, `--rounds 5`)
"""

import argparse
import contextlib
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from contenders import Contender, contenders
from processes import ROOT, ZENML, CouldNotRun, Run, clean, run, script
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops_tasks.platform.prefect_server import prefect_server
from mlops_tasks.references import source_digest

REPEATS = 5
FIRST_SEED = 1000
HEAVY = ("prefect", "mlflow", "dvc", "hydra")
STEP = re.compile(r"✓ (.+?)\s+(cached|[\d.]+ s)")
AIMS = {"generation": 2.0, "help": 0.5, "plain script": 1.3, "ZenML pipeline": 0.5}
Tell = Callable[[str], None]
console = Console(width=120)


def main() -> None:
    options = _arguments()
    table = Table(title="First life of a project", title_justify="left")
    for name in ("what", "median", "min to max", "CPU s", "aim", "met"):
        table.add_column(name, overflow="fold")
    library = source_digest("mlops_tasks")
    with _folder(options.folder) as folder:
        _say(folder)
        _generation(table, folder)
        _help(table)
        with prefect_server(folder / "server") as url, console.status("") as status:
            project = _project(folder)
            status.update("making an environment for ZenML")
            everyone = contenders(folder, project, url, not options.without_zenml)
            _warm_up(everyone, status.update)
            same = _rounds(everyone, options.rounds, status.update)
            _compared(table, everyone, same)
            status.update("once more, with nothing changed")
            _again(table, everyone[0], FIRST_SEED + options.rounds)
    console.print(table)
    if source_digest("mlops_tasks") != library:
        console.print("[red]the library was edited meanwhile: measure again[/]")
    if not same:
        sys.exit("the contenders did not do the same work: the ratios mean nothing")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed trainings per contender")
    parser.add_argument("--without-zenml", action="store_true", help="leave ZenML out")
    parser.add_argument("--folder", type=Path, help="work here and keep it (default: temporary)")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.folder and options.folder.exists() and any(options.folder.iterdir()):
        parser.error("--folder must be new or empty: what is cached there would be measured")
    return options


@contextlib.contextmanager
def _folder(named: Path | None) -> Iterator[Path]:
    if named is not None:
        named.mkdir(parents=True, exist_ok=True)
        yield named.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="first-life-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _say(folder: Path) -> None:
    names = ("prefect", "mlflow", "scikit-learn", "polars")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    versions += f"; {ZENML} in its own environment"
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load {_load()}"
    said = f"Python {platform.python_version()}, {versions}; {where}"
    console.print(said, highlight=False, markup=False)
    console.print(f"working in {folder}", highlight=False, soft_wrap=True)


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _generation(table: Table, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        runs = [_generate(Path(scratch) / str(number), folder) for number in range(REPEATS)]
    _row(table, "generate a project, wall s", [r.seconds for r in runs], AIMS["generation"], runs)


def _generate(target: Path, folder: Path) -> Run:
    cookiecutter = (sys.executable, "-m", "cookiecutter")
    command = (*cookiecutter, ROOT, "--no-input", "--output-dir", target)
    return run(command, clean(MLOPS_HOME=str(folder / "generation")))


def _project(folder: Path) -> Path:
    _generate(folder / "projects", folder)
    return next((folder / "projects").iterdir())


def _help(table: Table) -> None:
    seconds = [run([script("mlops"), "--help"]).cpu_seconds for _ in range(REPEATS)]
    _row(table, "mlops --help, CPU s", seconds, AIMS["help"])
    for module in ("mlops_tasks", "mlops_tasks.cli"):
        code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
        loaded = json.loads(run([sys.executable, "-c", code]).output)
        heavy = [name for name in HEAVY if name in loaded]
        what = f"heavy modules after import {module}"
        table.add_row(what, ", ".join(heavy) or "none", "", "", "none", _met(not heavy))


def _warm_up(everyone: Sequence[Contender], tell: Tell) -> None:
    """One training each that does not count: databases, byte code, the first champion."""
    for each in everyone:
        tell(f"{each.name}: warming up")
        try:
            if not each.failure:
                each.train(FIRST_SEED)
        except CouldNotRun as error:
            if each is everyone[0]:
                raise
            each.failure = str(error)


def _rounds(everyone: Sequence[Contender], rounds: int, tell: Tell) -> bool:
    """Train all contenders in turn, another one first each time; was their work the same?"""
    running = [each for each in everyone if not each.failure]
    same = True
    for number in range(1, rounds + 1):
        shift = number % len(running)
        for each in [*running[shift:], *running[:shift]]:
            tell(f"round {number} of {rounds}: {each.name}")
            each.runs.append(each.train(FIRST_SEED + number))
        equal = _equal(running, FIRST_SEED + number)
        same = same and equal
        times = ", ".join(f"{each.name} {each.seconds[-1]:.1f} s" for each in running)
        console.print(f"round {number}: {times}; load {_load()}", highlight=False)
    return same


def _equal(running: Sequence[Contender], seed: int) -> bool:
    """Print what was made in a round; was it the same everywhere, and of this seed?"""
    records = [each.record() for each in running]
    equal = all(record == records[0] for record in records) and records[0]["seed"] == str(seed)
    if equal:
        said = f"all {len(records)} made {records[0]['digest']}, {records[0]['decision']}"
    else:
        said = f"[red]NOT THE SAME[/]: {[record['digest'] for record in records]}"
    console.print(f"  seed {seed}: {said}", highlight=False, soft_wrap=True)
    return equal


def _compared(table: Table, everyone: Sequence[Contender], same: bool) -> None:
    table.add_section()
    ours, plain, *_ = everyone
    for each in everyone:
        if each.failure:
            table.add_row(each.name, escape(f"could not run: {each.failure}"), "", "", "", "no")
        else:
            _row(table, f"{each.name}, nothing cached, wall s", each.seconds, runs=each.runs)
    able = [each for each in everyone if not each.failure]
    for each in able[1:]:
        ratios = [a / b for a, b in zip(ours.seconds, each.seconds, strict=True)]
        _row(table, f"ratio mlops train / {each.name}", ratios, AIMS[each.name])
    for each in able:
        if each is not plain and not plain.failure:
            added = [a - b for a, b in zip(each.seconds, plain.seconds, strict=True)]
            _row(table, f"{each.name}: added to the plain script, s", added)
    table.add_row(f"same work in all {len(able)}, each round", "", "", "", "yes", _met(same))


def _again(table: Table, ours: Contender, seed: int) -> None:
    """The last training again, with nothing changed and caching on."""
    runs = [ours.train(seed, again=True) for _ in range(2)]
    table.add_section()
    seconds = [each.seconds for each in runs]
    _row(table, "mlops train again, nothing changed, wall s", seconds, runs=runs)
    steps = STEP.findall(runs[-1].messages)
    cached = [name for name, how in steps if how == "cached"]
    live = [name for name, how in steps if how != "cached"]
    table.add_row(f"  cached: {len(cached)} of {len(steps)} steps", ", ".join(cached))
    table.add_row("  done again", ", ".join(live))
    ratio = median(seconds) / ours.middle
    table.add_row("  ratio to nothing cached", f"{ratio:.2f}")


def _row(
    table: Table,
    what: str,
    values: Sequence[float],
    aim: float | None = None,
    runs: Sequence[Run] = (),
) -> None:
    middle = median(values)
    spread = f"{min(values):.2f} to {max(values):.2f}"
    cpu = f"{median(each.cpu_seconds for each in runs):.2f}" if runs else ""
    verdict = ("", "") if aim is None else (f"at most {aim:g}", _met(middle <= aim))
    table.add_row(what, f"{middle:.2f}", spread, cpu, *verdict)


def _met(yes: bool) -> str:
    return "yes" if yes else "no"


if __name__ == "__main__":
    main()
