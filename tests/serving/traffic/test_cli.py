"""`mlops canary`, `mlops shadow`, `mlops manifests`: what a person types and a script reads."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mlops_tasks.cli.options import app
from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.serving.traffic.findings import ACTION
from mlops_tasks.serving.traffic.state import Traffic, traffic_of
from tests.registry.life import PROJECT
from tests.serving.traffic.conftest import Home

import mlops_tasks.cli as cli  # isort: skip  (registers the commands)

assert cli.main


@pytest.fixture(autouse=True)
def _found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line finds the project of `home`."""
    from mlops_tasks.project import running
    from mlops_tasks.project.locate import Project

    monkeypatch.setattr(running, "find", lambda folder: Project(home.life.root, "none"))
    for name in ("settings_of", "placed_settings_of"):
        monkeypatch.setattr(running, name, lambda project, overrides: home.settings)


def run(*words: str, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(app, list(words))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_a_canary_and_a_shadow_by_hand(home: Home) -> None:
    stack = home.settings.stack
    out, told = run("canary", "start", "2", "--weight", "0.1", "--reason", "try [it]", "--json")
    assert json.loads(out) == {"canary_version": 2, "canary_weight": 0.1, "shadow_version": None}
    assert "version 2 is the canary, with 0.1 of the keys" in told
    run("shadow", "start", "3")
    assert "it was so before" in run("shadow", "start", "3")[1]
    run("canary", "widen", "--weight", "0.3")
    run("canary", "hold", "--reason", "until [Monday]")
    assert traffic_of(stack, PROJECT) == Traffic(2, 0.3, 3)

    out, told = run("canary", "status", "--json")
    assert json.loads(out) == {"canary_version": 2, "canary_weight": 0.3, "shadow_version": 3}
    assert "traffic held by trainer@x.org" in told
    assert "until [Monday]" in told

    run("canary", "withdraw")
    out, _ = run("shadow", "withdraw", "--json")
    assert json.loads(out)["shadow_version"] is None
    assert traffic_of(stack, PROJECT) == Traffic()
    assert home.outcomes == ["started", "started", "widened", "held", "withdrawn", "withdrawn"]
    assert "answers everybody" in run("canary", "status")[1]


def test_a_comparison_is_put_on_record(home: Home) -> None:
    run("canary", "start", "2", "--weight", "0.1")
    told = run("canary", "compare", code=3)[1]
    found = ledger_of(home.settings.stack).entries(Wanted(subject=PROJECT, action=(ACTION,)))
    kept = found[-1]
    assert kept.seq > home.since
    assert (kept.event.outcome, kept.event.facts["role"]) == ("unclear", "canary")
    assert f"on record: entry {kept.seq}, report {kept.event.digests['report'][:12]}" in told


def test_refusals_and_wrong_words(home: Home) -> None:
    with pytest.raises(PromotionRefused, match="no canary"):
        run("canary", "hold")
    with pytest.raises(PromotionRefused, match="there is no shadow"):
        run("shadow", "compare")
    run("canary", "start", "2", code=2)
    run("canary", "start", "0", "--weight", "0.1", code=2)


def test_manifests_are_written_for_what_stands_now(home: Home, tmp_path: Path) -> None:
    run("canary", "start", "2", "--weight", "0.25")
    out, _ = run("manifests", "--image", "demo:1", "--out", str(tmp_path / "k"), "--json")
    files = [Path(path) for path in json.loads(out)]
    names = ["kubernetes.yaml", "kserve-1-champion.yaml", "kserve-2-canary.yaml"]
    assert [file.name for file in files] == names
    service = yaml.safe_load(files[2].read_text())
    assert service["metadata"]["name"] == "demo"
    assert service["spec"]["predictor"]["canaryTrafficPercent"] == 25
    assert service["spec"]["predictor"]["containers"][0]["image"] == "demo:1"

    run("canary", "withdraw")
    run("manifests", "--image", "demo:1", "--out", str(tmp_path / "k"))
    assert sorted(file.name for file in (tmp_path / "k").iterdir()) == sorted(names[:2])


@pytest.mark.parametrize(
    "words",
    [
        *(["canary", step] for step in ("start", "widen", "hold", "withdraw", "status", "compare")),
        *(["shadow", step] for step in ("start", "withdraw", "compare")),
        ["manifests"],
    ],
)
def test_every_command_has_an_example(words: list[str]) -> None:
    assert "Example" in run(*words, "--help")[0]
