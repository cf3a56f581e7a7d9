"""From stage to stage, each with its own approval; what was signed is what is let in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_tasks.errors import ApprovalRefused, PromotionRefused
from mlops_tasks.governance.events import Entry
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ACTOR, actor, audit, ledger_of
from mlops_tasks.governance.requests import cast, requests_of
from mlops_tasks.registry import proposals
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.history import Reign, reigns
from mlops_tasks.registry.models import DIGEST_TAG, by_alias
from mlops_tasks.registry.rollback import rollback
from mlops_tasks.settings import Settings
from tests.registry.life import PROJECT, Life

PROD, STAGING = f"{PROJECT}.prod", f"{PROJECT}.staging"


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    """A first champion of dev, trained by somebody who does not vote."""
    monkeypatch.setenv(ACTOR, "trainer@x.org")
    actor.cache_clear()
    life = Life(tmp_path)
    life.people()
    life.train(40)
    yield life
    actor.cache_clear()


def test_the_same_artifact_goes_through_all_stages(life: Life) -> None:
    client = connect(life.settings().stack)
    runs = _runs(life)
    for settings, to, model in (
        (life.settings(), "staging", STAGING),
        (_on(life.settings(), "staging"), "prod", PROD),
    ):
        assert life.promote(to=to, settings=settings).standing == "waiting"
        assert client.search_model_versions(f"name='{model}'") == []
        life.approve("ada", model)
        assert life.promote(to=to, settings=settings).standing == "champion"

    champions = [by_alias(client, model, "champion") for model in (PROJECT, STAGING, PROD)]
    assert len({each.run_id for each in champions if each}) == 1
    assert {each.tags[DIGEST_TAG] for each in champions if each} == {_reign(life, PROD).candidate}
    assert _runs(life) == runs
    assert _reign(life, STAGING).approved_by == _reign(life, PROD).approved_by == ("ada@x.org",)
    asked = [each.event.digests["request"] for each in _events(life, "approval.request")]
    assert len(asked) == len(set(asked)) == 2
    assert audit(life.settings().stack).true


def test_whoever_trained_it_does_not_approve_it(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACTOR, "Ada@x.org")
    actor.cache_clear()
    life.train(20)
    life.promote(to="prod")

    with pytest.raises(ApprovalRefused, match="author"):
        life.approve("ada", PROD)
    assert life.approve("bob", PROD).approved


def test_an_approval_under_another_policy_is_not_used(life: Life) -> None:
    life.promote(to="prod")
    life.approve("ada", PROD)

    found = life.promote(to="prod", settings=life.settings(margin=0.3))

    assert found.standing == "waiting"
    assert life.aliases(PROD).champion is None


def test_an_approval_under_other_signers_is_not_used(life: Life) -> None:
    life.promote(to="prod")
    life.approve("ada", PROD)
    (life.root / "allowed_signers").open("a").write(f"eve@x.org {_public(life, 'mallory')}\n")

    assert life.promote(to="prod").standing == "waiting"
    assert life.aliases(PROD).champion is None


def test_where_nobody_is_listed_nobody_signs(life: Life) -> None:
    life.promote(to="prod")
    (life.root / "allowed_signers").unlink()

    with pytest.raises(ApprovalRefused):
        life.approve("ada", PROD)
    assert life.promote(to="prod").standing == "waiting"


def test_an_edit_between_check_and_use_is_noticed_under_the_lease(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.promote(to="prod")
    life.approve("ada", PROD)
    go = proposals._go

    def edited(*words: object) -> object:
        (life.root / "allowed_signers").write_text("")
        return go(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(proposals, "_go", edited)
    with pytest.raises(PromotionRefused, match="approval cannot be used"):
        life.promote(to="prod")

    assert life.aliases(PROD).champion is None


def test_an_approval_to_replace_another_champion_is_not_used(life: Life) -> None:
    life.promote(to="prod", version=1)
    life.approve("ada", PROD)
    life.train(20)
    life.promote(to="prod", version=2)
    wanted = [each for each in life.requests(PROD) if each == "waiting"]
    assert len(wanted) == 1
    _approve_newest(life, "bob")
    assert life.promote(to="prod", version=2).standing == "champion"

    assert life.promote(to="prod", version=1).standing == "waiting"
    assert life.aliases(PROD).champion == 1  # of prod: the copy of version 2


def test_a_used_approval_is_not_used_again_after_a_rollback(life: Life) -> None:
    for leaf in (40, 20):
        life.train(leaf)
        life.promote(to="prod")
        life.approve("ada", PROD)
        life.promote(to="prod")
    rollback(life.settings().stack, PROD)

    found = life.promote(to="prod")

    assert found.standing in ("waiting", "used")
    assert life.aliases(PROD).champion == 1
    assert life.requests(PROD).count("used") == 2


def test_what_was_rolled_back_is_not_let_in_again_without_a_person(life: Life) -> None:
    life.train(20)
    life.rollback()

    again = life.train(20)
    assert (again.version, life.aliases().champion) == (2, 1)
    assert "was rolled back" in again.note
    # Under another number too: a change of the policy makes another result of the same model.
    other = life.train(20, life.settings(margin=0.25))
    assert other.version == 3
    assert life.aliases().champion == 1

    life.promote(version=2)
    assert life.aliases().champion == 2


def test_the_champion_again_is_no_challenger_and_no_new_version(life: Life) -> None:
    life.train(20)
    again = life.train(20)

    assert (again.version, again.repeated, again.standing) == (2, True, "champion")
    assert life.aliases().challenger is None
    assert len(_events(life, "registration")) == 2


def test_a_champions_altered_tag_does_not_change_whom_it_was_held_against(life: Life) -> None:
    evidence = life.evidence(10)
    life.train(20)
    late = life.register(evidence).version
    client = connect(life.settings().stack)
    first = client.get_model_version(PROJECT, "1").tags[DIGEST_TAG]
    client.set_model_version_tag(PROJECT, "2", DIGEST_TAG, first)

    with pytest.raises(PromotionRefused):
        life.promote(version=late)

    assert life.aliases().champion == 2


def _on(settings: Settings, stage: str) -> Settings:
    stack = settings.stack.model_copy(update={"stage": stage})
    return settings.model_copy(update={"stack": stack})


def _runs(life: Life) -> int:
    client = connect(life.settings().stack)
    experiment = client.get_experiment_by_name(PROJECT).experiment_id
    return len(client.search_runs([experiment]))


def _reign(life: Life, model: str) -> Reign:
    return reigns(ledger_of(life.settings().stack), model)[-1]


def _events(life: Life, action: str) -> list[Entry]:
    return ledger_of(life.settings().stack).entries(Wanted(action=(action,)))


def _public(life: Life, name: str) -> str:
    return life.key(name).with_suffix(".pub").read_text().strip()


def _approve_newest(life: Life, name: str) -> None:
    newest = requests_of(life.root, life.settings(), PROD)[0]
    cast(life.root, life.settings(), newest.request, "yes", "", life.key(name))
