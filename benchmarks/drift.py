"""Drift of a million rows of 30 mixed columns: time and memory against Evidently and NannyML.

Each contender runs in a fresh process and, if it is not ours, in an environment of its own. What
they compute is not the same. Ours holds the window against a stored profile: PSI, Jensen-Shannon,
Kolmogorov-Smirnov, Wasserstein, Cramer's V, p-values, missing shares, new levels. NannyML holds it
against a stored calculator: Jensen-Shannon. Evidently holds it against the reference rows: its
default distance for each type. All must find the three columns that were moved, and call no more
than half of the others drifted.

Reproduce: uv run python benchmarks/drift.py          (`--rounds 5`, `--rows 1000000`, `--folder F`)
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from processes import ROOT, CouldNotRun, clean, run

MOVED = ("float_0", "integer_0", "text_2")
LEVELS = (3, 10, 30, 60, 100, 200)
EVIDENTLY = ("evidently==0.7.23", "pandas<3.1", "pyarrow")
# NannyML imports statsmodels and does not declare it.
NANNYML = ("nannyml==0.13.1", "statsmodels", "pyarrow")
OURS = ("mlops_tasks, rows in memory", "mlops_tasks, file in slices")
AIMS = {"Evidently": (30.0, 1 / 3), "NannyML": (5.0, 1 / 3)}
Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep data and environments here")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(_measured(CONTENDERS[options.contender], options.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="drift-") as scratch:
        folder = (options.folder or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        pythons = _pythons(folder)
        _data(folder / "data", options.rows)
        _child("prepare NannyML", pythons["NannyML"], folder)
        found: dict[str, list[Found]] = {name: [] for name in pythons}
        for _ in range(options.rounds):
            for name, python in pythons.items():
                found[name].append(_child(name, python, folder))
    _print(found, options.rows)


def _pythons(folder: Path) -> dict[str, Path]:
    ours = Path(sys.executable)
    return {
        OURS[0]: ours,
        OURS[1]: ours,
        "NannyML": _environment(folder / "nannyml", NANNYML),
        "Evidently": _environment(folder / "evidently", EVIDENTLY),
    }


def _environment(folder: Path, packages: tuple[str, ...]) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or "uv"
        run([uv, "venv", "--quiet", "--python", sys.executable, folder])
        run([uv, "pip", "install", "--quiet", "--python", python, *packages])
    return python


def _data(folder: Path, rows: int) -> None:
    """Reference and window, of the same shape but for `MOVED`; and our profile of the reference."""
    from mlops_tasks.drift import documents
    from mlops_tasks.drift.profile import profile_of

    folder.mkdir(exist_ok=True)
    reference = _rows(rows, seed=0, moved=False)
    (folder / "profile.json").write_bytes(
        documents.encode(profile_of(reference, reference.columns))
    )
    reference.write_parquet(folder / "reference.parquet")
    _rows(rows, seed=1, moved=True).write_parquet(folder / "window.parquet")


def _rows(rows: int, *, seed: int, moved: bool) -> Any:
    import numpy as np
    import polars as pl

    draw = np.random.default_rng(seed)
    shapes: tuple[Callable[[], Any], ...] = (
        lambda: draw.normal(size=rows),
        lambda: draw.lognormal(0, 1.5, size=rows),
        lambda: np.where(draw.random(rows) < 0.3, 0.0, draw.gamma(2.0, 3.0, size=rows)),
    )
    columns: dict[str, Any] = {}
    for number in range(18):
        values = pl.Series(shapes[number % 3]())
        gone = pl.Series(draw.random(rows) < (0.05 if number % 4 == 1 else 0))
        columns[f"float_{number}"] = values.set(gone, None)
    for number in range(5):
        columns[f"integer_{number}"] = draw.poisson(3 * 4**number, size=rows)
    for number, levels in enumerate(LEVELS):
        weights = 1 / np.arange(1, levels + 1)
        if moved and f"text_{number}" in MOVED:
            weights = weights[::-1]
        names = np.array([f"level {each}" for each in range(levels)])
        columns[f"text_{number}"] = names[draw.choice(levels, rows, p=weights / weights.sum())]
    columns["boolean_0"] = draw.random(rows) < 0.3
    frame = pl.DataFrame(columns)
    shift = [pl.col("float_0") + 0.7, pl.col("integer_0") + 2]
    return frame.with_columns(shift) if moved else frame


def _child(name: str, python: Path, folder: Path) -> Found:
    quiet = clean(
        DO_NOT_TRACK="1", NML_DISABLE_USAGE_LOGGING="1", PYTHONPATH=str(ROOT / "benchmarks")
    )
    command = [python, __file__, "--contender", name, "--folder", folder / "data"]
    done = run(command, quiet)
    found: Found = json.loads(done.output.splitlines()[-1])
    moved = set(found["drifted"])
    others = moved - set(MOVED)
    if (name in AIMS or name in OURS) and (not set(MOVED) <= moved or len(others) > 13):
        raise CouldNotRun(f"{name} found drift in {sorted(moved)}, it is in {MOVED}")
    return found | {"wall": done.seconds}


def _measured(contender: Callable[[Path], Found], folder: Path) -> Found:
    return contender(folder) | {"megabytes": _peak()}


def _peak() -> float:
    """The largest resident size of this process alone; what it was started by is left out."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError as error:
        raise CouldNotRun("peak memory is read from /proc, which this system has not") from error
    line = next(each for each in status.splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _ours_in_memory(folder: Path) -> Found:
    import polars as pl

    from mlops_tasks.drift.profile import count

    started = time.perf_counter()
    frame = pl.read_parquet(folder / "window.parquet")
    read = time.perf_counter() - started
    return _ours(folder, lambda profile: count(frame, profile)) | {"read": read}


def _ours_in_slices(folder: Path) -> Found:
    from mlops_tasks.drift.files import count_file

    return _ours(folder, lambda profile: count_file(folder / "window.parquet", profile))


def _ours(folder: Path, counted: Callable[[Any], Any]) -> Found:
    from mlops_tasks.drift import documents
    from mlops_tasks.drift.profile import Profile
    from mlops_tasks.drift.verdict import compare
    from mlops_tasks.settings.monitoring import DriftRules

    started = time.perf_counter()
    profile = documents.decode((folder / "profile.json").read_bytes(), Profile)
    report = compare(profile, counted(profile), DriftRules())
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "drifted": [each.name for each in report.columns if each.drifted]}


def _prepare_nannyml(folder: Path) -> Found:
    import pickle

    import nannyml
    import pandas

    frame = pandas.read_parquet(folder / "reference.parquet")
    texts = [name for name in frame.columns if name.startswith(("text", "boolean"))]
    # One chunk: the same question as that of the others, and its quickest way.
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(frame.columns), treat_as_categorical=texts, chunk_number=1
    )
    calculator.fit(frame)
    (folder / "calculator.pickle").write_bytes(pickle.dumps(calculator))
    return {"drifted": []}


def _nannyml(folder: Path) -> Found:
    import pickle

    import nannyml  # noqa: F401
    import pandas

    started = time.perf_counter()
    frame = pandas.read_parquet(folder / "window.parquet")
    calculator = pickle.loads((folder / "calculator.pickle").read_bytes())
    read = time.perf_counter() - started
    result = calculator.calculate(frame).filter(period="analysis").to_df()
    seconds = time.perf_counter() - started - read
    distance = {column[0]: result[column].iloc[0] for column in result if column[2] == "value"}
    drifted = [name for name, value in distance.items() if value > 0.1]
    return {"read": read, "seconds": seconds, "drifted": drifted}


def _evidently(folder: Path) -> Found:
    import pandas
    from evidently import Report
    from evidently.presets import DataDriftPreset

    started = time.perf_counter()
    reference = pandas.read_parquet(folder / "reference.parquet")
    window = pandas.read_parquet(folder / "window.parquet")
    read = time.perf_counter() - started
    said = Report([DataDriftPreset()]).run(window, reference).dict()
    seconds = time.perf_counter() - started - read
    drifted = [
        each["config"]["column"]
        for each in said["metrics"]
        if "column" in each["config"] and each["value"] > 0.1
    ]
    return {"read": read, "seconds": seconds, "drifted": drifted}


CONTENDERS: dict[str, Callable[[Path], Found]] = {
    OURS[0]: _ours_in_memory,
    OURS[1]: _ours_in_slices,
    "prepare NannyML": _prepare_nannyml,
    "NannyML": _nannyml,
    "Evidently": _evidently,
}


def _print(found: dict[str, list[Found]], rows: int) -> None:
    def middle(name: str, what: str) -> float:
        return median(each.get(what, 0.0) for each in found[name])

    def spread(name: str, what: str) -> str:
        values = [each[what] for each in found[name]]
        return f"{min(values):.2f} to {max(values):.2f}"

    rounds = len(found[OURS[0]])
    print(f"{rows:,} rows, 30 columns; median of {rounds}; {os.cpu_count()} CPUs\n")
    print("| contender | comparison, s | min to max | reading, s | process, s | peak, MB |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in found:
        read = f"{middle(name, 'read'):.2f}" if "read" in found[name][0] else "in comparison"
        figures = f"{middle(name, 'seconds'):.2f} | {spread(name, 'seconds')} | {read}"
        print(
            f"| {name} | {figures} | {middle(name, 'wall'):.1f} | {middle(name, 'megabytes'):.0f} |"
        )
    print("\n| ours, file in slices, against | times as fast | aim | share of memory | aim | met |")
    print("|---|--:|--:|--:|--:|---|")
    for name, (faster, memory) in AIMS.items():
        speed = middle(name, "seconds") / middle(OURS[1], "seconds")
        share = middle(OURS[1], "megabytes") / middle(name, "megabytes")
        met = "yes" if speed >= faster and share < memory else "no"
        figures = f"{speed:.1f} | {faster:g} | {share:.2f} | {memory:.2f}"
        print(f"| {name} | {figures} | {met} |")


if __name__ == "__main__":
    main()
