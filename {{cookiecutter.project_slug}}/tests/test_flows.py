"""The flows run from end to end on the excerpt, through Prefect, into a tracking store."""

from pathlib import Path

import pytest
from mlops_tasks.data.frames import read_frame
from mlops_tasks.testing.sandbox import Sandbox

from {{ cookiecutter.__package_name }} import flows

ROOT = Path(__file__).parents[1]
SMALL = ["policy.minimum_rows=200", "policy.minimum_positives=20", "policy.slice_floor=null"]
SMALL += ["policy.approval.automatic=[dev]"]  # whatever people must sign elsewhere


def test_train_and_score(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "ROOT", sandbox.of(ROOT, excerpt=ROOT / "tests" / "flights.parquet"))

    first = flows.train([*SMALL, "model=linear"])
    assert first.accepted, first.reasons
    assert (first.version, first.standing) == (1, "champion")

    again = flows.train([*SMALL, "model=linear"])
    assert (again.version, again.repeated) == (1, True)

    refused = flows.train([*SMALL, "model=linear", "policy.thresholds.roc_auc=0.999"])
    assert not refused.accepted
    assert refused.version is None

    scored = read_frame(flows.score(["data.window.start=2013-03-01", "data.window.end=2013-04-01"]))
    assert scored.height == 416
    assert set(scored["model_version"]) == {1}
