"""How much scoring a dataset costs over the model's own `predict_proba`, and how much memory.

Gradient boosting as people train it, on 20 numbers. Each figure of time alternates between the two
in one process; each of memory is the peak of a process of its own. Rows are made in parts.

Reproduce: uv run python benchmarks/batch.py       (`--rows 1000000 10000000 50000000 --rounds 5`)
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from mlops_tasks.artifacts import (
    Champion,
    Columns,
    Dataset,
    Split,
)
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.encoding import decode, encode
from mlops_tasks.references import code
from mlops_tasks.serving.batch import score_batch
from mlops_tasks.settings import ModelSettings
from mlops_tasks.storage import put
from mlops_tasks.training.fit import fit
from mlops_tasks.training.model_files import read_model

FEATURES = tuple(f"x{number}" for number in range(20))
COLUMNS = Columns(("id",), "late", FEATURES, ())
MADE_AT_ONCE = 250_000
TRAINED_ON = 50_000
REGIONS = ("local",)
TIMED = 1_000_000
AIM = 15.0


def boosting(columns: Columns, seed: int) -> Pipeline:
    return make_pipeline(HistGradientBoostingClassifier(random_state=seed))


MODELS = {"boosting": boosting}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--timed", type=int, default=TIMED, help="rows that are timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(_peak_mib(*options.measure))
        return
    with tempfile.TemporaryDirectory(prefix="batch-") as name:
        store = str(Path(name) / "store")
        champion = _champion(store)
        _time(champion, _made(options.timed, store), options.rounds, store)
        _memory(champion, options.rows, store)


def _time(champion: Champion, rows: Dataset, rounds: int, store: str) -> None:
    model = read_model(champion.candidate.model_uri, champion.candidate.digest)
    frame = read_frame(rows).select(FEATURES)
    ways = {
        "`predict_proba` on a frame in memory": lambda: model.predict_proba(frame),
        "verify, read, `predict_proba`; nothing kept": lambda: model.predict_proba(
            read_frame(rows).select(FEATURES)
        ),
        "`score_batch`": lambda: score_batch(champion, rows, store=store),
    }
    taken: dict[str, list[tuple[float, float]]] = {what: [] for what in ways}
    for _ in range(rounds):
        for what, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            taken[what].append((time.perf_counter() - wall, time.process_time() - cpu))
    print(f"\n| scoring {rows.rows:,} rows | rows/s, median | min to max | CPU s, median |")
    print("|---|---|---|---|")
    for what, times in taken.items():
        rates = [rows.rows / wall for wall, _ in times]
        cpu = median(each for _, each in times)
        span = f"{min(rates):,.0f} to {max(rates):,.0f}"
        print(f"| {what} | {median(rates):,.0f} | {span} | {cpu:.2f} |")
    own, _, ours = taken.values()
    for place, kind in enumerate(("wall", "CPU")):
        over = median(100 * (b[place] / a[place] - 1) for a, b in zip(own, ours, strict=True))
        met = "yes" if over < AIM else "no"
        print(f"\nover the model's own, {kind}: {over:.1f} % (aim: under {AIM:g} %; met: {met})")


def _memory(champion: Champion, sizes: list[int], store: str) -> None:
    print("\n| rows | file, MiB | peak memory, MiB |\n|---|---|---|", flush=True)
    for size in sizes:
        rows = _made(size, store)
        with tempfile.TemporaryDirectory(prefix="batch-") as name:
            texts = [encode(champion).decode(), encode(rows).decode(), name]
            command = [sys.executable, __file__, "--measure", *texts]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        file = Path(rows.uri)
        print(f"| {size:,} | {file.stat().st_size >> 20:,} | {done.stdout.strip()} |", flush=True)
        file.unlink()


def _peak_mib(champion: str, rows: str, store: str) -> int:
    score_batch(decode(champion), decode(rows), store=store)
    return _own_peak_mib()


def _own_peak_mib() -> int:
    """The most memory that this process had; Linux' `getrusage` begins with that of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20  # bytes, on macOS


def _champion(store: str) -> Champion:
    train = write_frame(_frame(0, TRAINED_ON), store, regions=REGIONS)
    table = code("benchmarks.batch:MODELS")
    split = Split(train, train, COLUMNS, "random")
    model = ModelSettings(name="boosting")
    return Champion(1, "run", fit(split, table, model, 1, store=store))


def _frame(first: int, count: int) -> pl.DataFrame:
    random = np.random.default_rng(first)
    frame = pl.DataFrame({name: random.normal(size=count) for name in FEATURES})
    late = (frame["x0"] + frame["x1"] * frame["x2"] + random.normal(size=count) > 0.5).cast(pl.Int8)
    return frame.with_columns(id=pl.arange(first, first + count, eager=True), late=late)


def _made(count: int, store: str) -> Dataset:
    from pyarrow.parquet import ParquetWriter

    def write(path: Path) -> None:
        writer = None
        for first in range(0, count, MADE_AT_ONCE):
            table = _frame(first, min(MADE_AT_ONCE, count - first)).to_arrow()
            writer = writer or ParquetWriter(path, table.schema)
            writer.write_table(table)
        writer.close()

    uri, digest, _ = put(store, write, ".parquet")
    return Dataset(uri, digest, count, (*FEATURES, "id", "late"), REGIONS)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `benchmarks.batch:MODELS`
    main()
