"""What the seal, the bill of materials and the model card add to a training.

Each round is a fresh process that has loaded MLflow, as a training has, and then does for the first
time what `registry.release.write_release` does after the model is written.

Reproduce: uv run python benchmarks/provenance.py          (`--rounds 5`)
"""

import argparse
import json
import subprocess
import sys
from statistics import median

from processes import ROOT
from rich.console import Console
from rich.table import Table

AIM_SECONDS = 1.0
STEPS = ("model card", "bill of materials", "seal", "check the seal")
ONE_ROUND = """
import json, sys, tempfile, time
from pathlib import Path
import mlflow.sklearn, sqlalchemy
from tests.governance.samples import EVIDENCE
from mlops_tasks.governance.keys import key_pair
from mlops_tasks.settings.schema import CardSettings

marks = [time.perf_counter()]
mark = lambda: marks.append(time.perf_counter())
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "package").mkdir()
    (folder / "package" / "model.skops").write_bytes(bytes(1 << 20))
    key = key_pair(folder / "keys", "models", "p256")
    marks[0] = time.perf_counter()
    from mlops_tasks.governance.model_card import render_card
    card = render_card("flight-delay", "1", EVIDENCE, CardSettings())
    (folder / "package" / "model_card.md").write_text(card.markdown)
    mark()
    from mlops_tasks.governance.bill_of_materials import bill_of_materials, installed
    bill = bill_of_materials("flight-delay", "1", EVIDENCE, CardSettings(), installed())
    (folder / "package" / "bill_of_materials.json").write_bytes(bill)
    mark()
    from mlops_tasks.governance.model_seal import check_seal, seal
    seal(folder / "package", folder / "package.sig", key)
    mark()
    check_seal(folder / "package", folder / "package.sig", key.public)
    mark()
print(json.dumps([after - before for before, after in zip(marks, marks[1:])]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes")
    rounds = [_round() for _ in range(parser.parse_args().rounds)]
    table = Table(title="Provenance of one model (1 MiB), seconds", title_justify="left")
    for name in ("what", "median", "min to max", "aim", "met"):
        table.add_column(name)
    for number, step in enumerate(STEPS):
        _row(table, step, [each[number] for each in rounds])
    _row(table, "added to a training", [sum(each[:3]) for each in rounds], AIM_SECONDS)
    Console(width=100).print(table)


def _round() -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", ONE_ROUND], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(table: Table, what: str, seconds: list[float], aim: float | None = None) -> None:
    middle = median(seconds)
    met = "" if aim is None else ("yes" if middle < aim else "no")
    table.add_row(
        what,
        f"{middle:.3f}",
        f"{min(seconds):.3f} to {max(seconds):.3f}",
        "" if aim is None else f"under {aim:g}",
        met,
    )


if __name__ == "__main__":
    main()
