"""What a model was trained in is on record wherever its lineage is: tags, event, card, report."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_tasks.artifacts import Evidence, Lineage
from mlops_tasks.governance.lock_file import Locked
from mlops_tasks.governance.locked_environment import (
    AS_LOCKED,
    NO_LOCK,
    environment_digest,
    installed,
    standing,
)
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.references import code
from mlops_tasks.registry.ancestry import ancestry
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.lineage import trace
from mlops_tasks.training import baselines
from tests.governance.locks import lock_of
from tests.registry.life import PROJECT, Life

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """One model trained as locked, and then one with another polars than the lock's."""
    life = Life(tmp_path_factory.mktemp("life"))
    life.people()
    (life.root / "uv.lock").write_text(lock_of(installed()))
    life.register(traced(life, 40))
    (life.root / "uv.lock").write_text(lock_of(installed() | {"polars": Locked("0.0.1")}))
    life.register(traced(life, 20))
    return life


def traced(life: Life, leaf: int) -> Evidence:
    evidence = life.evidence(leaf)
    return replace(evidence, lineage=lineage_of(life, evidence))


def lineage_of(life: Life, evidence: Evidence) -> Lineage:
    return trace(
        str(life.root), life.settings(), evidence.candidate.train, code(baselines.REFERENCE)
    )


@pytest.mark.parametrize("version", ["1", "2"])
def test_lock_and_state_are_wherever_the_lineage_is(life: Life, version: str) -> None:
    stack = life.settings().stack
    client = connect(stack)
    registered = client.get_model_version(PROJECT, version)
    run = client.get_run(registered.run_id)
    found = ancestry(stack, PROJECT, version)
    state, lock = found.environment_state, found.lock
    if version == "1":
        assert state == AS_LOCKED
    else:
        assert state.startswith("differs: polars ")
        assert lock == standing(life.root).lock_digest
    assert len(lock) == 64
    for tags in (registered.tags, run.data.tags):
        assert tags["mlops.lock_digest"] == lock
        assert tags["mlops.environment_state"] == state
        assert tags["mlops.environment_digest"] == environment_digest()
    (event,) = [
        each.event
        for each in ledger_of(stack).entries()
        if each.event.facts.get("run_id") == registered.run_id
    ]
    assert (event.facts["environment_state"], event.digests["lock"]) == (state, lock)

    folder = Path(client.download_artifacts(registered.run_id, ""))
    bill = json.loads((folder / "package" / "bill_of_materials.json").read_text())
    said = bill["metadata"]["component"]["properties"]
    assert {"name": "mlops-tasks:environment_state", "value": state} in said
    assert {"name": "mlops-tasks:lock_digest", "value": lock} in said
    for page in ("report.html", "package/model_card.html"):
        text = (folder / page).read_text()
        assert lock in text
        assert state in text


def test_the_lock_of_both_differs_by_the_one_version(life: Life) -> None:
    stack = life.settings().stack
    one, other = (ancestry(stack, PROJECT, each) for each in ("1", "2"))
    assert one.lock != other.lock
    assert one.environment == other.environment, "what was installed did not change"


def test_without_a_lock_the_lineage_says_so(tmp_path: Path, life: Life) -> None:
    bare = Life(tmp_path)
    bare.root.mkdir()
    evidence = life.evidence(20)
    found = lineage_of(bare, evidence)
    assert (found.lock_digest, found.environment_state) == ("none", NO_LOCK)
    subprocess.run(["git", "init", "-q", str(bare.root)], check=True)
    assert lineage_of(bare, evidence).environment_digest == environment_digest()
