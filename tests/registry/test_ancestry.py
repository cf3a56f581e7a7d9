"""Where a version comes from, what saw some data, and what counts as the same model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mlops_tasks.artifacts import Evidence, Interval
from mlops_tasks.cli.options import app
from mlops_tasks.errors import LedgerError, RegistryError, SettingsError
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.ledger import Ledger
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.registry.ancestry import ancestry, parse_version
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.descendants import descendants
from mlops_tasks.registry.models import create_version
from mlops_tasks.registry.sameness import agree, findings
from tests.registry.life import PROJECT, Life

import mlops_tasks.cli as cli  # isort: skip  (registers the commands)

assert cli.main
PROD = f"{PROJECT}.prod"
DATA, OTHER = "d" * 64, "e" * 64


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Two champions one after the other; the second went on to production."""
    life = Life(tmp_path_factory.mktemp("life"))
    life.people()
    life.train(40)
    life.train(20)
    life.promote(to="prod")
    life.approve("ada", PROD)
    life.promote(to="prod")
    return life


@pytest.fixture(scope="module")
def evidence(life: Life) -> Evidence:
    return life.evidence(20)


def run(life: Life, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    from mlops_tasks.project import running
    from mlops_tasks.project.locate import Project

    monkeypatch.setattr(running, "find", lambda folder: Project(life.root, "none"))
    monkeypatch.setattr(running, "settings_of", lambda project, overrides: life.settings())
    done = CliRunner().invoke(app, ["lineage", *words])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (None, (None, "champion")),
        ("@previous", (None, "previous")),
        ("a-b.prod", ("a-b.prod", "champion")),
        ("a@12", ("a", "12")),
    ],
)
def test_a_version_is_named_by_alias_or_number(text: str | None, meant: object) -> None:
    assert parse_version(text) == meant


@pytest.mark.parametrize("text", ["a@", "a@0", "a@-1", "a@chief", "a@1@2", "a@١"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="neither an alias nor a version"):
        parse_version(text)


def test_all_digests_are_those_of_the_sealed_evidence(life: Life, evidence: Evidence) -> None:
    found = ancestry(life.settings().stack, PROJECT, "champion")
    lineage = evidence.lineage

    assert (found.model, found.version, found.trained_as) == (PROJECT, 2, PROJECT)
    assert found.candidate == evidence.candidate.digest
    assert found.train == evidence.candidate.train.digest
    assert (found.data, found.code) == (lineage.data_digest, lineage.code_digest)
    assert (found.config, found.environment) == (lineage.config_digest, lineage.environment_digest)
    assert (found.seed, found.region, found.dirty) == ("1", lineage.region, True)
    assert (found.library, found.train_rows, found.sealed) == (lineage.library_version, 800, True)


def test_a_version_in_production_leads_to_the_same_run_and_tells_who_approved(life: Life) -> None:
    stack = life.settings().stack
    dev, prod = ancestry(stack, PROJECT, "champion"), ancestry(stack, PROD, "champion")

    assert (prod.version, prod.trained_as) == (1, PROJECT)
    assert prod.run_id == dev.run_id
    assert prod.candidate == dev.candidate
    told = [(each.action, each.outcome, each.subject) for each in prod.events]
    assert told == [
        ("registration", "accepted", PROJECT),
        ("promotion", "done", PROJECT),
        ("approval.request", "open", PROD),
        ("approval.vote", "yes", PROD),
        ("promotion", "done", PROD),
    ]
    assert prod.events[3].actor == "ada@x.org"
    assert prod.events[3].at < prod.events[4].at
    # Its own life, not that of the champion before it.
    assert len(ancestry(stack, PROJECT, "1").events) == 2


def test_what_is_not_there_is_said(life: Life) -> None:
    stack = life.settings().stack
    for which, what in (("challenger", "no challenger"), ("9", "no version 9")):
        with pytest.raises(RegistryError, match=what):
            ancestry(stack, PROJECT, which)


def test_a_version_without_a_registration_is_nobodys(life: Life) -> None:
    stack = life.settings().stack
    client = connect(stack)
    (experiment,) = [e for e in client.search_experiments() if e.name == PROJECT]
    stray = client.create_run(experiment.experiment_id).info.run_id
    create_version(client, "demo.staging", stray, {})
    with pytest.raises(LedgerError, match="no registration"):
        ancestry(stack, "demo.staging", "1")


def test_altered_evidence_is_not_told_from(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.people()
    life.train(40)
    (file,) = (tmp_path / "artifacts").rglob("package/evidence.json")
    before = ancestry(life.settings().stack, PROJECT, "1")
    file.write_bytes(file.read_bytes().replace(b'"library_version":"0"', b'"library_version":"9"'))

    after = ancestry(life.settings().stack, PROJECT, "1")

    assert (before.sealed, before.library) == (True, "0")
    assert (after.sealed, after.library, after.train_rows, after.dirty) == (False, "", None, None)
    assert after.candidate == before.candidate


def test_the_command_draws_a_tree_or_prints_one_flat_object(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(life, monkeypatch, f"{PROD}@champion")
    assert code == 0
    places = [out.index(word) for word in (f"{PROD} version 1", "run ", "candidate ", "snapshot ")]
    assert places == sorted(places)
    assert "with uncommitted changes" in " ".join(out.split())
    assert "ada@x.org" in out

    plain = json.loads(run(life, monkeypatch, "--json")[1])
    flat = {name for name, value in plain.items() if not isinstance(value, list | dict)}
    assert flat >= {
        "model",
        "version",
        "run_id",
        "candidate",
        "evidence",
        "data",
        "train",
        "dvc_rev",
        "git_commit",
        "config",
        "environment",
        "code",
        "seed",
        "region",
    }
    assert [each["action"] for each in plain["events"]] == ["registration", "promotion"]

    shown = json.loads(run(life, monkeypatch, "--from-data", plain["data"], "--json")[1])
    assert [each["version"] for each in shown] == [1, 2]
    code, out, err = run(life, monkeypatch, "--from-data", "0" * 64)
    assert (code, out) == (0, "")
    assert "no registered model and no refused candidate" in " ".join(err.split())


def test_a_refused_candidate_saw_the_data_too(life: Life, evidence: Evidence) -> None:
    strict = life.settings(thresholds={"roc_auc": 0.999})
    refused = life.train(30, strict)
    assert refused.version is None

    found = descendants(ledger_of(life.settings().stack), evidence.candidate.train.digest[:6])

    assert [(each.version, each.outcome) for each in found] == [
        (1, "accepted"),
        (2, "accepted"),
        (None, "refused"),
    ]
    first, second, third = found
    [(name, past)] = first.reigns
    assert (name, past.version, past.until) == (PROJECT, 1, second.reigns[0][1].since)
    assert [(name, reign.version, reign.until) for name, reign in second.reigns] == [
        (PROJECT, 2, ""),
        (PROD, 1, ""),
    ]
    assert third.reigns == ()


def test_descendants_of_all_projects_by_each_kind_of_digest(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    for subject, data, rev in (
        ("one", DATA, "abc" * 8),
        ("two", DATA, "f" * 24),
        ("two", OTHER, ""),
    ):
        digests = {"candidate": "c", "data": data, "train": OTHER[::-1][:32] + "0" * 32}
        facts = {"version": "1", "run_id": "r", "dvc_rev": rev}
        ledger.append(Event("ada", "registration", subject, "accepted", "", digests, facts))
    ledger.append(
        Event("ada", "promotion", "two", "done", "", {"candidate": "c"}, {"version": "1"})
    )

    def names(prefix: str) -> list[tuple[str, str]]:
        return [(each.model, each.matched) for each in descendants(ledger, prefix)]

    assert names(DATA[:6]) == [("one", "data"), ("two", "data")]
    assert names("ABCABC") == [("one", "dvc_rev")]
    assert len(names(("e" * 32) + "0")) == 3
    assert names("012345") == []
    # A model of another project with the same file is not this one's champion.
    assert [len(each.reigns) for each in descendants(ledger, DATA)] == [0, 1]
    for bad in ("", "ddddd", "dddddg", "%%%%%%%"):
        with pytest.raises(SettingsError, match="beginning of a digest"):
            descendants(ledger, bad)


def test_the_same_is_the_same_file_and_metrics_or_metrics_within_the_tolerance(
    evidence: Evidence,
) -> None:
    def judged(again: Evidence, tolerance: float = 0.0) -> bool:
        return agree(findings(evidence, again, evidence.lineage.config_digest, tolerance))

    def moved(**end: float) -> Evidence:
        metrics: Any = evidence.evaluation.metrics
        shifted = replace(metrics["roc_auc"], **end)
        evaluation = replace(evidence.evaluation, metrics=metrics | {"roc_auc": shifted})
        return replace(evidence, evaluation=evaluation)

    other_file = replace(evidence, candidate=replace(evidence.candidate, digest="0" * 64))
    other_place = replace(evidence, lineage=replace(evidence.lineage, environment_digest="x"))
    score: Interval = evidence.evaluation.metrics["roc_auc"]
    assert judged(evidence)
    assert judged(other_place), "for information only"
    assert not judged(other_file)
    assert judged(other_file, 1e-9)
    for end in ("value", "low", "high"):
        off = moved(**{end: getattr(score, end) + 1e-3})
        assert not judged(off)
        assert not judged(off, 1e-4)
        assert judged(off, 2e-3)
    fewer = {k: v for k, v in evidence.evaluation.metrics.items() if k != "roc_auc"}
    gone = replace(evidence, evaluation=replace(evidence.evaluation, metrics=fewer))
    assert not judged(gone, 1.0)
