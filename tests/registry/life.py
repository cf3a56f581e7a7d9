"""A model's life without Prefect: real fits on small data, MLflow, ledger, keys, signatures.

Run as a program, each step is a process that a test may kill:
`python -m tests.registry.life HOME train SEED`, `… promote`, `… approve ada`, `… rollback`.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import DecisionTreeClassifier

from mlops_tasks.artifacts import Code, Columns, Evidence, Lineage, Registration, Split
from mlops_tasks.data.frames import write_frame
from mlops_tasks.evaluation.comparison import compare
from mlops_tasks.evaluation.evaluate import evaluate
from mlops_tasks.evaluation.gate import judge
from mlops_tasks.governance.approvals import Standing
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.governance.requests import cast, requests_of
from mlops_tasks.project.governing import pending
from mlops_tasks.references import code
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.promotion import Aliases, Moved, read_aliases
from mlops_tasks.registry.proposals import Proposal, promote, propose
from mlops_tasks.registry.register import register
from mlops_tasks.registry.release import current_champion
from mlops_tasks.registry.rollback import rollback
from mlops_tasks.settings import ModelSettings, Settings
from mlops_tasks.storage import file_digest
from mlops_tasks.training import baselines
from mlops_tasks.training.fit import fit

COLUMNS = Columns(("id",), "late", ("x", "y"), ())
PROJECT = "demo"


def tree(columns: Columns, seed: int, *, leaf: int = 20) -> Pipeline:
    return make_pipeline(DecisionTreeClassifier(min_samples_leaf=leaf, random_state=seed))


MODELS = {"tree": tree}


@dataclass(frozen=True)
class Life:
    """A home with a project in it; `people` may sign, each with an SSH key of their own."""

    home: Path

    @property
    def root(self) -> Path:
        return self.home / "project"

    def settings(self, **policy: Any) -> Settings:
        home = self.home
        approval = {
            "automatic": ["dev"],
            "people": {"ada@x.org": ["owner"], "bob@x.org": ["owner"], "eve@x.org": ["guest"]},
            "allowed_signers": "allowed_signers",
        }
        return Settings.model_validate(
            {
                "project": PROJECT,
                "seed": 1,
                "data": {"path": "x", "target": "late", "split": {"kind": "random"}},
                "model": {"name": "tree"},
                "stack": {
                    "store": str(home / "store"),
                    "predictions": str(home / "predictions"),
                    "tracking_uri": f"sqlite:///{home}/mlflow.db",
                    "artifact_root": str(home / "artifacts"),
                    "ledger": f"sqlite:///{home}/ledger.db",
                    "anchor": str(home / "anchor"),
                    "key_folder": str(home / "keys"),
                },
                "policy": {
                    "minimum_rows": 100,
                    "minimum_positives": 10,
                    "margin": 0.2,
                    "approval": approval | policy.pop("approval", {}),
                    **policy,
                },
                "evaluation": {"bootstrap_samples": 100, "importance_repeats": 2},
            }
        )

    def people(self) -> None:
        """Keys for ada, bob and eve, and one for mallory whom nobody allows."""
        self.root.mkdir(parents=True, exist_ok=True)
        lines = []
        for name in ("ada", "bob", "eve", "mallory"):
            key = self.key(name)
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
            subprocess.run(words, check=True)
            if name != "mallory":
                lines.append(f"{name}@x.org {key.with_suffix('.pub').read_text().strip()}")
        (self.root / "allowed_signers").write_text("\n".join(lines) + "\n")

    def key(self, name: str) -> Path:
        return self.home / f"{name}_key"

    def evidence(self, leaf: int, settings: Settings | None = None) -> Evidence:
        """Fit a tree and judge it against the baselines and the champion of the own stage."""
        settings = settings or self.settings()
        store = settings.stack.store
        split = _split(store)
        # Not `code`: the digest of all tests changes whenever somebody edits one.
        table = Code("tests.registry.life:MODELS", file_digest(Path(__file__)))
        model = ModelSettings(name="tree", params={"leaf": leaf})
        candidate = fit(split, table, model, 1, store=store)
        evaluation = evaluate(candidate, split.comparison, settings.evaluation, store=store)
        rivals = {
            name: fit(split, code(baselines.REFERENCE), ModelSettings(name=name), 1, store=store)
            for name in ("trivial", "linear")
        }
        champion = current_champion(settings.stack, settings.registered_model)
        if champion and champion.candidate != candidate:
            rivals["champion"] = champion.candidate
        found = compare(evaluation, rivals, split.comparison, settings.evaluation, 1)
        held = champion.candidate.digest if champion else None
        decision = judge(candidate, evaluation, found, settings.policy, champion_digest=held)
        lineage = Lineage("none", True, "", split.train.digest, "c", "e", table.digest, "0", 1, "x")
        return Evidence(candidate, evaluation, found, decision, lineage)

    def register(self, evidence: Evidence, settings: Settings | None = None) -> Registration:
        return register(
            settings or self.settings(),
            evidence.candidate,
            evidence.evaluation,
            evidence.comparisons,
            evidence.decision,
            evidence.lineage,
        )

    def train(self, leaf: int, settings: Settings | None = None) -> Registration:
        registration = self.register(self.evidence(leaf, settings), settings)
        return propose(str(self.root), settings or self.settings(), registration)

    def promote(self, **how: Any) -> Proposal:
        return promote(self.root, how.pop("settings", None) or self.settings(), **how)

    def approve(self, name: str, model: str = PROJECT, choice: Any = "yes") -> Standing:
        settings = self.settings()
        filed = pending(self.root, settings, [model], None)
        return cast(self.root, settings, filed.request, choice, "", self.key(name))

    def rollback(self, to: int | None = None) -> Moved:
        return rollback(self.settings().stack, PROJECT, to=to)

    def aliases(self, model: str = PROJECT) -> Aliases:
        return read_aliases(connect(self.settings().stack), model)

    def events(self) -> list[tuple[str, str]]:
        found = ledger_of(self.settings().stack).entries()
        return [(each.event.action, each.event.outcome) for each in found]

    def requests(self, model: str = PROJECT) -> list[str]:
        return [each.standing.state for each in requests_of(self.root, self.settings(), model)]


def _split(store: str) -> Split:
    """The sign of a product: a tree sees it, a straight line cannot."""
    rng = np.random.default_rng(7)
    x, y = rng.uniform(-1, 1, 1200), rng.uniform(-1, 1, 1200)
    late = ((x * y > 0) ^ (rng.uniform(size=1200) < 0.1)).astype(np.int64)
    rows = pl.DataFrame({"id": range(1200), "x": x, "y": y, "late": late})
    parts = [write_frame(part, store, regions=("local",)) for part in (rows[:800], rows[800:])]
    return Split(*parts, COLUMNS, "random")


def main(words: list[str]) -> None:
    life, step, rest = Life(Path(words[0])), words[1], words[2:]
    if step == "train":
        found: Any = life.train(int(rest[0]))
    elif step == "register":
        found = life.register(life.evidence(int(rest[0])))
    elif step == "promote":
        found = life.promote(to=rest[0] if rest else None)
    elif step == "approve":
        found = life.approve(*rest)
    else:
        found = life.rollback()
    print(json.dumps(str(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
