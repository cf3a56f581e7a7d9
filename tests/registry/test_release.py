"""Nothing is loaded or let in that is not, in every byte, what was registered and judged."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from mlops_tasks.artifacts import Evidence
from mlops_tasks.errors import AlteredObject, MlopsError, PromotionRefused, SettingsError
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ACTOR, actor, audit, ledger_of
from mlops_tasks.project.governing import named
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.models import CHAMPION, DIGEST_TAG
from mlops_tasks.registry.release import current_champion, open_release
from mlops_tasks.settings import Settings
from tests.registry.life import PROJECT, Life

PACKAGE = {
    "package/evidence.json", "package/model_card.md", "package/model_card.html",
    "package/bill_of_materials.json", "package/model/MLmodel", "package/model/model.skops",
    "package.sig",
}  # fmt: skip


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A life with champions 1 and 2 of dev, trained by somebody who does not vote."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ACTOR, "trainer@x.org")
        actor.cache_clear()
        life = Life(tmp_path_factory.mktemp("life"))
        life.people()
        life.train(40)
        life.train(20)
        yield life
    actor.cache_clear()


@pytest.mark.slow
def test_any_altered_byte_is_refused_and_on_record(life: Life) -> None:
    kept = _artifacts(life)
    files = [path for path in sorted(kept.rglob("*")) if path.is_file() and _sealed(kept, path)]
    assert {str(path.relative_to(kept)) for path in files} >= PACKAGE

    for path in files:
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 1}:
            flipped = bytes([content[place] ^ 1])
            _refused(life, lambda p=path, c=content, i=place, f=flipped: p.write_bytes(
                c[:i] + f + c[i + 1 :]
            ))  # fmt: skip
            path.write_bytes(content)
        _refused(life, path.unlink)
        path.write_bytes(content)

    assert _champion(life) is not None


@pytest.mark.parametrize("name", ["package/more.txt", "package/model/more.py", "package/.hidden"])
def test_an_added_file_is_refused(life: Life, name: str) -> None:
    added = _artifacts(life) / name

    _refused(life, lambda: added.write_text("more"))

    added.unlink()
    assert _champion(life) is not None


def test_a_file_that_mlflow_adds_when_somebody_loads_it_is_not_an_alteration(life: Life) -> None:
    import mlflow

    uri = life.settings().stack.tracking_uri
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)
        mlflow.pyfunc.load_model(f"models:/{PROJECT}@champion")
        mlflow.set_tracking_uri(None)
    added = _artifacts(life) / "package" / "model" / "registered_model_meta"
    assert added.is_file()

    assert _champion(life) is not None
    added.unlink()


def test_the_package_of_another_version_is_refused(life: Life) -> None:
    """Signed by us, complete, and not what this run registered."""
    one, two = _artifacts(life, 1), _artifacts(life, 2)
    aside = two.with_name("aside")
    shutil.copytree(two, aside)

    def swap() -> None:
        shutil.rmtree(two)
        shutil.copytree(one, two)

    _refused(life, swap)

    shutil.rmtree(two)
    aside.rename(two)
    assert _champion(life) is not None


def test_a_removed_package_is_refused(life: Life) -> None:
    package = _artifacts(life) / "package"
    aside = package.with_name("aside")

    _refused(life, lambda: package.rename(aside))

    aside.rename(package)


def test_altered_tags_let_nobody_in(life: Life) -> None:
    """A tag is what anybody may write; what counts is sealed and on record."""
    client = connect(life.settings().stack)
    run_id = client.get_model_version(PROJECT, "2").run_id
    true = client.get_model_version(PROJECT, "2").tags[DIGEST_TAG]
    client.set_tag(run_id, "mlops.decision", "refused")
    client.set_model_version_tag(PROJECT, "2", DIGEST_TAG, "0" * 64)

    champion = current_champion(life.settings().stack, PROJECT)
    assert champion is not None
    assert champion.candidate.digest == true
    with pytest.raises(PromotionRefused, match="evidence"):
        life.promote(version=1)

    client.set_model_version_tag(PROJECT, "2", DIGEST_TAG, true)
    assert life.aliases().champion == 2


def test_an_alias_at_a_version_that_nobody_registered_is_refused(life: Life) -> None:
    stack = life.settings().stack
    client = connect(stack)
    run = client.create_run(client.get_experiment_by_name(PROJECT).experiment_id)
    shutil.copytree(_artifacts(life), Path(run.info.artifact_uri))
    version = client.create_model_version(PROJECT, "x", run_id=run.info.run_id).version

    _refused(life, lambda: client.set_registered_model_alias(PROJECT, CHAMPION, version))

    client.set_registered_model_alias(PROJECT, CHAMPION, "2")
    client.set_terminated(run.info.run_id)


def test_an_alias_at_a_refused_candidate_is_refused(life: Life) -> None:
    refused = life.train(400, life.settings(thresholds={"roc_auc": 0.999}))
    client = connect(life.settings().stack)
    assert not refused.accepted
    version = client.create_model_version(PROJECT, "x", run_id=refused.run_id).version

    _refused(life, lambda: client.set_registered_model_alias(PROJECT, CHAMPION, version))

    client.set_registered_model_alias(PROJECT, CHAMPION, "2")


def test_a_forged_yes_is_judged_again(life: Life) -> None:
    strict = life.settings(thresholds={"roc_auc": 0.999})
    evidence: Evidence = life.evidence(300, strict)
    assert not evidence.decision.accepted
    checks = tuple(replace(each, passed=True) for each in evidence.decision.checks)
    forged = replace(evidence, decision=replace(evidence.decision, accepted=True, checks=checks))
    version = life.register(forged, strict).version

    with pytest.raises(PromotionRefused, match="roc_auc"):
        life.promote(version=version, settings=strict)

    assert life.aliases().champion == 2
    last = ledger_of(strict.stack).entries(newest=True, limit=1)[0].event
    assert (last.action, last.outcome) == ("promotion", "refused")


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "models:/x", "models:/demo/1", "demo.prod/../x", "", "demo@champion"]
)
def test_a_name_with_a_path_in_it_is_nobodys(life: Life, name: str) -> None:
    settings = life.settings()
    with pytest.raises(ValidationError):
        Settings.model_validate(settings.model_dump() | {"project": name})
    if name:
        with pytest.raises(SettingsError, match="no model"):
            named(settings, name)


def test_the_record_of_all_this_is_true(life: Life) -> None:
    assert audit(life.settings().stack).true


def _artifacts(life: Life, version: int = 2) -> Path:
    client = connect(life.settings().stack)
    run_id = client.get_model_version(PROJECT, str(version)).run_id
    return Path(client.get_run(run_id).info.artifact_uri)


def _sealed(kept: Path, path: Path) -> bool:
    return path.relative_to(kept).parts[0].startswith("package")


def _champion(life: Life) -> object:
    return current_champion(life.settings().stack, PROJECT)


def _refused(life: Life, spoil: Callable[[], object]) -> None:
    """After this, the champion does not open, and the ledger says so."""
    stack = life.settings().stack
    wanted = Wanted(action=("verification",), subject=PROJECT, outcome="refused")
    before = len(ledger_of(stack).entries(wanted))
    assert spoil() is not False
    with pytest.raises(AlteredObject):
        current_champion(stack, PROJECT)
    client = connect(stack)
    with pytest.raises(MlopsError):
        open_release(client, stack, client.get_model_version_by_alias(PROJECT, CHAMPION))
    assert len(ledger_of(stack).entries(wanted)) == before + 2
