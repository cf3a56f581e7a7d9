"""`mlops reproduce`: the same model again, or an honest no; and nothing is left behind."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_tasks.errors import ProjectError, ResidencyRefused
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.project.reproduce import BETWEEN_OVERRIDES, reproduce
from tests.conftest import Generated
from tests.registry.life import PROJECT, Life

pytestmark = pytest.mark.slow
# A model that is not what commit, data and configuration say: it looks at the weather outside.
TODAY = """

def today(columns: Columns, seed: int) -> Pipeline:
    import os

    return boosting(columns, seed, rounds=int(os.environ.get("WEATHER", "60")))


MODELS["today"] = today
"""
TRAINED = ("model=today", "experiment=quick", "policy.margin=0.5", "card.limits='a b'")


@pytest.fixture(scope="module")
def trained(project: Generated, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """A committed project in a folder of a larger repository, with one version."""
    folder = tmp_path_factory.mktemp("reproduce")
    ours = project.copy(folder)
    with (ours.root / "src" / "flight_delay" / "model.py").open("a") as file:
        file.write(TODAY)
    (ours.root / "conf" / "model" / "today.yaml").write_text("name: today\n")
    policy = ours.root / "conf" / "policy" / "default.yaml"
    policy.write_text(policy.read_text().replace("0.8\n", "0.5\n").replace("0.75", "0.3"))
    (folder / "tmp").mkdir()
    ours = replace(ours, environment=ours.environment | {"TMPDIR": str(folder / "tmp")})
    ours.run("git", "add", "-A")
    ours.run("git", "commit", "-qm", "Today")
    ours.run("mlops", "train", "--json", *TRAINED)
    return ours


def again(project: Generated, *words: str, **variables: str) -> tuple[int, dict[str, Any], str]:
    command = ("mlops", "reproduce", "--environment", "current", "--json", *words)
    done = project.run(*command, check=False, **variables)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def state(project: Generated) -> dict[str, object]:
    """What must be as before: runs and versions, all files but the ledger's, git's worktrees."""
    home = Path(project.environment["MLOPS_HOME"])
    files = {
        str(path.relative_to(home)): path.stat().st_mtime_ns
        for path in home.rglob("*")
        if path.is_file() and not path.name.startswith(("ledger.db", "mlflow.db", "leases"))
        and not {"anchor", "prefect"} & set(path.relative_to(home).parts)
    }  # fmt: skip
    count = "select (select count(*) from runs), (select count(*) from model_versions)"
    import sqlite3

    with sqlite3.connect(home / "mlflow.db") as raw:
        rows = raw.execute(count).fetchall()
    git = project.run("git", "worktree", "list", "--porcelain").stdout
    status = project.run("git", "status", "--porcelain").stdout
    left = os.listdir(project.environment["TMPDIR"])
    return {"files": files, "rows": rows, "git": git, "status": status, "left": left}


def reproductions(project: Generated) -> list[tuple[str, str]]:
    ledger = Ledger(f"sqlite:///{project.environment['MLOPS_HOME']}/ledger.db")
    found = ledger.entries(Wanted(action=("reproduction",)))
    return [(each.event.outcome, each.event.facts["version"]) for each in found]


def test_the_same_model_comes_out_again_and_that_is_on_record(trained: Generated) -> None:
    before = state(trained)

    code, found, told = again(trained, "flight-delay@1")

    assert code == 0, told
    assert (found["outcome"], found["version"]) == ("agrees", 1)
    same = {each["what"]: each["agrees"] for each in found["findings"]}
    assert {"candidate", "data", "training rows", "config", "code", "roc_auc"} <= set(same)
    assert all(same.values()), found
    assert before == state(trained)
    assert before["left"] == []
    assert reproductions(trained) == [("agrees", "1")]
    for step in ("verify", "check out", "train model=today"):
        assert step in told
    trained.run("mlops", "audit", "verify")


def test_a_model_that_depends_on_the_weather_is_found_out(trained: Generated) -> None:
    before = state(trained)

    code, found, told = again(trained, WEATHER="50")

    assert code == 3, told
    assert found["outcome"] == "differs"
    differs = {each["what"] for each in found["findings"] if not each["agrees"]}
    assert {"candidate", "roc_auc"} <= differs
    assert not {"data", "training rows", "config", "code", "environment"} & differs
    assert before == state(trained)
    assert reproductions(trained)[-1] == ("differs", "1")


def test_ctrl_c_leaves_nothing(trained: Generated) -> None:
    before, known = state(trained), reproductions(trained)
    process = subprocess.Popen(
        [str(trained.programs / "mlops"), "reproduce", "--environment", "current"],
        cwd=trained.root,
        env=trained.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if "check out" in line:
            break
    time.sleep(2)  # the child is at it
    assert os.listdir(trained.environment["TMPDIR"])
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)

    assert process.returncode == 130, seen + rest
    assert "Traceback" not in rest
    assert before == state(trained)
    assert known == reproductions(trained)


def test_what_cannot_be_reproduced_is_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path)
    life.people()
    root = life.root
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@x.org", "-c", "commit.gpgSign=false"]
    commit = ["git", "-C", str(root), *who, "commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(commit, check=True)
    words = ["git", "-C", str(root), "rev-parse", "HEAD"]
    head = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    evidence = life.evidence(20)
    cases = {"none": "outside of git", "ab" * 20: "does not have the commit", head: "uncommitted"}
    for number, (name, why) in enumerate(cases.items(), start=1):
        lineage = replace(evidence.lineage, git_commit=name, config_digest=name)
        life.register(replace(evidence, lineage=lineage))
        with pytest.raises(ProjectError, match=why):
            reproduce(root, life.settings(), PROJECT, str(number))
    with pytest.raises(ResidencyRefused, match="unknown place"):
        reproduce(root, life.settings(), PROJECT, "3", despite_changes=True)
    monkeypatch.setenv("MLOPS_REGION", "here")
    with pytest.raises(ProjectError, match="no project here"):
        reproduce(root, life.settings(), PROJECT, "3", despite_changes=True)
    listed = ["git", "-C", str(root), "worktree", "list"]
    assert len(subprocess.run(listed, capture_output=True, text=True).stdout.splitlines()) == 1


def test_recorded_overrides_are_told_apart_again() -> None:
    typed = ["model=a", "card.limits='a b, c'", "++x.y=[1, 2]", "~experiment", "d.s=2013-01-01 0:0"]
    assert BETWEEN_OVERRIDES.split(" ".join(typed)) == typed
