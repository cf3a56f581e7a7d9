"""What a project's first life costs: generation, help, training against a plain script and ZenML.

All contenders do the same work in fresh processes, each with its own registry and stores; the
record in each registry (model digest, decision, metrics) is compared after each round.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

from processes import ROOT, ZENML, CouldNotRun, clean, run, script, zenml_python
from rich.console import Console
from rich.table import Table

from mlops_tasks.platform.prefect_server import prefect_server

REPEATS = 5
FIRST_SEED = 1000
REFUSED = 3
HEAVY = ("prefect", "mlflow", "dvc", "hydra")
HERE = Path(__file__).parent
CACHED_STEP = re.compile(r"✓ (.+?)\s+cached")
STEP = re.compile(r"✓ (.+?)\s+(?:cached|[\d.]+ s)")
AIMS = {"generation": 2.0, "help": 0.5, "plain": 1.3, "zenml": 0.5}
console = Console(width=110)


@dataclass
class Contender:
    """One way to do the same training, and how long each round took."""

    name: str
    command: tuple[str | Path, ...]
    environment: dict[str, str]
    seconds: list[float] = field(default_factory=list)
    failure: str = ""

    def train(self, seed: int, *options: str) -> tuple[float, str]:
        """Wall seconds of a fresh process, and what it said on standard error."""
        command = [*self.command, *options, f"seed={seed}"]
        done = run(command, self.environment, expected=(0, REFUSED))
        return done.seconds, done.messages

    def record(self) -> dict[str, object]:
        """What the latest run in this contender's registry says, without what is timing."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.environment['MLOPS_HOME']}/mlflow.db")
        names = [each.experiment_id for each in client.search_experiments()]
        latest = client.search_runs(names, order_by=["start_time DESC"], max_results=1)[0]
        metrics = {k: v for k, v in latest.data.metrics.items() if k != "latency_ms"}
        tags = latest.data.tags
        return {
            "digest": tags["mlops.candidate_digest"],
            "seed": tags["mlops.seed"],
            "decision": tags["mlops.decision"],
            "metrics": metrics,
        }


def main() -> None:
    options = _arguments()
    table = Table(title="First life of a project", title_justify="left")
    for name in ("what", "median", "min to max", "aim", "met"):
        table.add_column(name, overflow="fold")
    with _folder(options.folder) as folder:
        _say(folder)
        _generation(table, folder)
        _help(table)
        with prefect_server(folder / "server") as url:
            project = _generate(folder / "projects" / "trained", folder / "ours")
            everyone = _contenders(folder, project, url, options.without_zenml)
            _warm_up(everyone)
            same = _rounds(everyone, options.rounds)
            _compared(table, everyone, same)
            _again(table, everyone[0], FIRST_SEED + options.rounds)
    console.print(table)
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
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    console.print(f"Python {platform.python_version()}, {versions}; {where}; load {_load()}")
    console.print(f"working in {folder}", highlight=False, soft_wrap=True)


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _generation(table: Table, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        seconds = [_generation_seconds(Path(scratch) / str(n), folder) for n in range(REPEATS)]
    _row(table, "generate a project, wall s", seconds, AIMS["generation"])


def _generation_seconds(target: Path, folder: Path) -> float:
    command = [sys.executable, "-m", "cookiecutter", ROOT, "--no-input", "--output-dir", target]
    return run(command, clean(MLOPS_HOME=str(folder / "generation"))).seconds


def _generate(target: Path, home: Path) -> Path:
    if not target.exists():
        command = [sys.executable, "-m", "cookiecutter", ROOT, "--no-input", "--output-dir", target]
        run(command, clean(MLOPS_HOME=str(home)))
    return next(target.iterdir())


def _help(table: Table) -> None:
    seconds = [run([script("mlops"), "--help"]).cpu_seconds for _ in range(REPEATS)]
    _row(table, "mlops --help, CPU s", seconds, AIMS["help"])
    for module in ("mlops_tasks", "mlops_tasks.cli"):
        code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
        loaded = json.loads(run([sys.executable, "-c", code]).output)
        heavy = [name for name in HEAVY if name in loaded]
        what = f"heavy modules loaded by import {module}"
        table.add_row(what, ", ".join(heavy) or "none", "", "none", _met(not heavy))


def _contenders(folder: Path, project: Path, url: str, without_zenml: bool) -> list[Contender]:
    """Ours first. Ours recomputes all steps (`--fresh`), as the others do."""

    def state(name: str, **more: str) -> dict[str, str]:
        return clean(MLOPS_HOME=str(folder / name), **more)

    ours = (script("mlops"), "train", "--project", project)
    plain = (sys.executable, HERE / "plain_script.py", project)
    found = [
        Contender("mlops train", ours, state("ours", PREFECT_API_URL=url)),
        Contender("plain script", plain, state("plain")),
    ]
    if not without_zenml:
        environment = state(
            "zenml",
            ZENML_CONFIG_PATH=str(folder / "zenml-config"),
            ZENML_ANALYTICS_OPT_IN="false",
            ZENML_LOGGING_VERBOSITY="WARN",
        )
        zenml = Contender("ZenML pipeline", (), environment)
        found.append(zenml)
        try:
            with console.status(f"installing {ZENML}"):
                python = zenml_python(folder / "zenml-environment")
            zenml.command = (python, HERE / "zenml_pipeline.py", project)
        except CouldNotRun as error:
            zenml.failure = str(error)
    return found


def _train(contender: Contender, seed: int) -> float:
    fresh = ("--fresh",) if contender.name == "mlops train" else ()
    with console.status(f"{contender.name}, seed {seed}"):
        return contender.train(seed, *fresh)[0]


def _warm_up(everyone: Sequence[Contender]) -> None:
    """One training each that does not count: databases, byte code, the first champion."""
    for each in everyone:
        if each.failure:
            continue
        try:
            _train(each, FIRST_SEED)
        except CouldNotRun as error:
            if each is everyone[0]:
                raise
            each.failure = str(error)


def _rounds(everyone: Sequence[Contender], rounds: int) -> bool:
    """Train all contenders in turn, another one first each time; was their work the same?"""
    running = [each for each in everyone if not each.failure]
    same = True
    for number in range(1, rounds + 1):
        shift = number % len(running)
        for each in [*running[shift:], *running[:shift]]:
            each.seconds.append(_train(each, FIRST_SEED + number))
        records = [each.record() for each in running]
        equal = all(record == records[0] for record in records)
        same = same and equal and records[0]["seed"] == str(FIRST_SEED + number)
        times = ", ".join(f"{each.name} {each.seconds[-1]:.1f} s" for each in running)
        digests = {str(record["digest"])[:16] for record in records}
        verdict = "same digest, decision and metrics" if equal else "NOT THE SAME"
        said = f"{verdict}: {' '.join(sorted(digests))}, {records[0]['decision']}"
        console.print(f"round {number}: {times}; {said}; load {_load()}", highlight=False)
    return same


def _compared(table: Table, everyone: Sequence[Contender], same: bool) -> None:
    table.add_section()
    ours, *others = everyone
    for each in everyone:
        if each.failure:
            table.add_row(each.name, f"could not run: {each.failure}", "", "", "no")
        else:
            _row(table, f"{each.name}, nothing cached, wall s", each.seconds)
    for each, aim in zip(others, (AIMS["plain"], AIMS["zenml"]), strict=False):
        if not each.failure:
            pairs = zip(ours.seconds, each.seconds, strict=True)
            _row(table, f"ratio mlops train / {each.name}", [a / b for a, b in pairs], aim)
    count = sum(not each.failure for each in everyone)
    table.add_row(f"same work in all {count} in each round", "", "", "yes", _met(same))


def _again(table: Table, ours: Contender, seed: int) -> None:
    """The last training once more, with nothing changed and caching on."""
    seconds, said = zip(*(ours.train(seed) for _ in range(2)), strict=True)
    steps, cached = STEP.findall(said[-1]), CACHED_STEP.findall(said[-1])
    table.add_section()
    _row(table, "mlops train again, nothing changed, wall s", list(seconds))
    live = [step for step in steps if step not in cached]
    table.add_row("  steps cached", f"{len(cached)} of {len(steps)}: {', '.join(cached)}")
    table.add_row("  steps done again", ", ".join(live))


def _row(table: Table, what: str, values: list[float], aim: float | None = None) -> None:
    middle = median(values)
    spread = f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else "one value"
    verdict = ("", "") if aim is None else (f"at most {aim:g}", _met(middle <= aim))
    table.add_row(what, f"{middle:.2f}", spread, *verdict)


def _met(yes: bool) -> str:
    return "yes" if yes else "no"


if __name__ == "__main__":
    main()
