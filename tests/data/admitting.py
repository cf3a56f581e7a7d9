"""Takes a snapshot of many rows, admits them, and says how much memory that took at its peak.

`python -m tests.data.admitting FOLDER ROWS`
"""

import resource
import sys
from pathlib import Path

import dataframely as dy
import numpy as np
import pyarrow as pa
from dvc.repo import Repo
from pyarrow.parquet import ParquetWriter

from mlops_tasks.artifacts import Code
from mlops_tasks.data.admission import admit
from mlops_tasks.data.versions import snapshot
from mlops_tasks.settings import DataSettings
from mlops_tasks.settings.residency import ResidencyRule

MADE_AT_ONCE = 100_000
NUMBERS = tuple(f"x{number}" for number in range(12))


class Rows(dy.Schema):
    key = dy.String(primary_key=True)
    x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11 = (dy.Float64() for _ in NUMBERS)
    late = dy.Int64(nullable=False, is_in=[0, 1])


def make(file: Path, rows: int) -> None:
    writer: ParquetWriter | None = None
    for first in range(0, rows, MADE_AT_ONCE):
        numbers = np.arange(first, first + MADE_AT_ONCE)
        table = pa.table(
            {"key": [f"F{number:09}" for number in numbers], "late": numbers % 2}
            | dict.fromkeys(NUMBERS, numbers * 0.5)
        )
        writer = writer or ParquetWriter(file, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def main(folder: Path, rows: int) -> None:
    root = folder / "project"
    root.mkdir(parents=True)
    make(root / "rows.parquet", rows)
    with Repo.init(str(root), no_scm=True) as repo, repo.config.edit() as config:
        config["core"]["remote"] = "storage"
        config["remote"]["storage"] = {"url": str(folder / "dvc")}
    rule = ResidencyRule(regions=("local",), uri_prefixes=(str(folder),))
    store = str(folder / "store")
    raw = snapshot(str(root), "rows.parquet", store=store, residency=rule)
    data = DataSettings.model_validate(
        {"path": "rows.parquet", "target": "late", "split": {"kind": "random"}}
    )
    admitted = admit(raw, Code("tests.data.admitting:Rows", "d" * 64), data, store=store)
    assert admitted.rows == rows
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
