"""Work on data starts where that data may be, and nowhere else; each decision is on record."""

import contextvars
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_tasks import tasks
from mlops_tasks.artifacts import Dataset, Split
from mlops_tasks.data.placement import common_regions, datasets_in
from mlops_tasks.errors import ResidencyRefused
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.governance.residency import OBSERVED, enter, observed_region, resident
from mlops_tasks.settings import Settings
from mlops_tasks.settings.residency import ResidencyRule
from tests.governance.samples import EVIDENCE
from tests.registry.life import COLUMNS, Life


def data(digest: str, *regions: str) -> Dataset:
    return Dataset(f"/store/{digest}", digest * 64, 1, ("id",), regions)


EU, BOTH = data("a", "eu"), data("b", "eu", "us")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A team's stack in the EU."""
    plain = Life(tmp_path).settings().model_dump()
    parts = ("compute", "storage", "tracking", "registry")
    plain["stack"] |= {"name": "team", "regions": dict.fromkeys(parts, "eu")}
    plain["data"] |= {"classification": "personal", "regions": ["eu", "us"]}
    rule = {"regions": ["eu"], "uri_prefixes": [str(tmp_path)]}
    plain["policy"]["residency"] = {"personal": rule}
    return Settings.model_validate(plain)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OBSERVED, raising=False)


def events(settings: Settings) -> list[Event]:
    found = ledger_of(settings.stack).entries(Wanted(action=("residency",)))
    return [each.event for each in found]


def apart(work: Callable[[], Any]) -> Any:
    """Call as a run of its own: what it entered is over afterwards."""
    return contextvars.copy_context().run(work)


def test_what_is_made_of_two_may_be_where_both_may_be() -> None:
    assert common_regions(EU, BOTH) == ("eu",)
    assert common_regions([BOTH], {"x": data("c", "us", "eu", "mars")}) == ("eu", "us")
    assert common_regions(EU, data("d", "us")) == ()
    assert common_regions() == common_regions(EU, data("e")) == ()


def test_every_dataset_inside_an_artifact_is_seen() -> None:
    split = Split(EU, BOTH, COLUMNS, "random")
    assert dict(datasets_in({"parts": split})) == {"parts.train": EU, "parts.comparison": BOTH}
    assert {name.rpartition(".")[2] for name, _ in datasets_in(EVIDENCE)} == {
        "train",
        "comparison",
        "scores",
    }


def test_a_process_that_does_not_know_where_it_is_works_for_a_local_stack_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = settings.stack.model_copy(update={"name": "local"})
    assert observed_region(settings.stack) == ""
    assert observed_region(local) == "eu"
    monkeypatch.setenv(OBSERVED, "us")
    assert observed_region(local) == observed_region(settings.stack) == "us"


@pytest.mark.parametrize(
    ("here", "said"), [("", "MLOPS_REGION is not set"), ("us", "this process is in 'us'")]
)
def test_a_run_is_not_entered_elsewhere(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, here: str, said: str
) -> None:
    monkeypatch.setenv(OBSERVED, here)

    with pytest.raises(ResidencyRefused, match=said):
        enter(settings)

    [event] = events(settings)
    assert (event.outcome, event.subject) == ("refused", "demo")
    assert said in event.reason
    assert event.facts["region"] == (here or "unknown")


def test_all_reasons_of_a_refusal_are_in_one_event(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OBSERVED, "us")
    wrong = settings.stack.model_copy(update={"store": "s3://us/store"})

    with pytest.raises(ResidencyRefused) as caught:
        enter(settings.model_copy(update={"stack": wrong}))

    assert caught.value.what.count(";") == 1
    assert [each.reason for each in events(settings)] == [caught.value.what]


def test_a_task_starts_only_where_all_its_inputs_may_be(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    @resident
    def join(one: Dataset, others: dict[str, Dataset], note: str = "") -> str:
        done.append(note)
        return note

    def run() -> None:
        enter(settings)
        assert join(BOTH, {"x": EU}, note="here") == "here"
        monkeypatch.setenv(OBSERVED, "us")  # the task runs on another machine
        assert join(BOTH, {}, "there") == "there"
        with pytest.raises(ResidencyRefused, match="here is us, and the inputs may only be in eu"):
            join(BOTH, {"x": EU}, note="not there")
        monkeypatch.delenv(OBSERVED)
        with pytest.raises(ResidencyRefused, match="an unknown place"):
            join(BOTH, {}, "nowhere")

    monkeypatch.setenv(OBSERVED, "eu")
    apart(run)

    assert done == ["here", "there"]
    told = [(each.facts["task"], each.facts["region"], each.outcome) for each in events(settings)]
    assert told == [
        ("configuration", "eu", "allowed"),
        ("join", "eu", "allowed"),
        ("join", "us", "allowed"),
        ("join", "us", "refused"),
        ("join", "unknown", "refused"),
    ]
    assert events(settings)[1].digests == {"one": BOTH.digest, "others.x": EU.digest}


def test_reading_new_data_obeys_the_rule_that_it_is_given(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    @resident
    def read(path: str, residency: ResidencyRule) -> tuple[str, ...]:
        if path == "pushed":
            raise ResidencyRefused("the remote is in the us")
        return residency.regions

    def run() -> None:
        enter(settings)
        assert read("x", settings.residency) == ("eu",)
        with pytest.raises(ResidencyRefused, match="may only be in no region"):
            read("x", ResidencyRule())
        with pytest.raises(ResidencyRefused, match="remote"):
            read("pushed", settings.residency)

    monkeypatch.setenv(OBSERVED, "eu")
    apart(run)

    outcomes = [each.outcome for each in events(settings)]
    assert outcomes == ["allowed", "allowed", "refused", "refused"]
    assert events(settings)[-1].reason == "the remote is in the us"


def test_a_run_says_the_same_yes_once_and_every_no(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    @resident
    def look(one: Dataset) -> None:
        pass

    def run() -> None:
        enter(settings)
        for _ in range(3):
            look(EU)
        look(BOTH)
        monkeypatch.setenv(OBSERVED, "us")
        for _ in range(2):
            with pytest.raises(ResidencyRefused):
                look(EU)
        look(BOTH)
        monkeypatch.setenv(OBSERVED, "eu")
        look(EU)

    monkeypatch.setenv(OBSERVED, "eu")
    for _ in range(2):  # another run is asked anew
        apart(run)
        told = [
            (*each.digests.values(), each.facts["region"], each.outcome)
            for each in events(settings)
        ]
        assert told[-6:] == [
            ("eu", "allowed"),
            (EU.digest, "eu", "allowed"),
            (BOTH.digest, "eu", "allowed"),
            (EU.digest, "us", "refused"),
            (EU.digest, "us", "refused"),
            (BOTH.digest, "us", "allowed"),
        ]
    assert len(events(settings)) == 12


# What each task is given that is data; the rest does not matter, it never starts.
GIVEN: dict[str, dict[str, Any]] = {
    "snapshot": {"root": "", "path": "", "residency": ResidencyRule()},
    "validate": {"raw": EU, "contract": None, "data": None},
    "admit": {"raw": EU, "contract": None, "data": None},
    "split": {"rows": EU, "contract": None, "data": None, "seed": 1},
    "fit": {"split": Split(EU, EU, COLUMNS, "time"), "models": None, "model": None, "seed": 1},
    "evaluate": {"candidate": EVIDENCE.candidate, "comparison": EU, "settings": None},
    "compare": {"evaluation": EVIDENCE.evaluation, "rivals": {}, "comparison": EU},
    "windows": {"rows": EU, "contract": None, "data": None, "windows": 2, "sliding": False},
    "try parameters": {"split": Split(EU, EU, COLUMNS, "time"), "models": None, "trials": 1},
    "backtest": {"splits": [Split(EU, EU, COLUMNS, "time")]},
    "score": {"champion": None, "rows": EU},
    "score parts": {"champion": None, "rows": EU},
    "gate": {"candidate": EVIDENCE.candidate},
    "lineage": {"data": EU},
    "register": {"candidate": EVIDENCE.candidate},
    "traffic": {"champion": EVIDENCE.candidate},
    "drift": {"champion": EVIDENCE.candidate, "traffic": EU},
    "performance": {"champion": EVIDENCE.candidate, "traffic": EU},
    "alarm": {"champion": EVIDENCE.candidate},
    "report": {"champion": EVIDENCE.candidate, "traffic": EU},
}
ALL = {each.name: each for each in vars(tasks).values() if hasattr(each, "cache_policy")}
ALL = {name: each for name, each in ALL.items() if hasattr(each, "fn")}


def test_the_tasks_without_data_are_five() -> None:
    assert set(ALL) - set(GIVEN) == {"call", "champion", "propose", "retention", "show"}


@pytest.mark.parametrize("name", GIVEN)
def test_no_task_of_the_switchboard_starts_elsewhere(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import inspect

    function = ALL[name].fn
    given = dict.fromkeys(inspect.signature(function).parameters) | GIVEN[name]

    with pytest.raises(ResidencyRefused, match="nobody has entered a run"):
        apart(lambda: function(**given))

    def run() -> None:
        enter(settings)
        monkeypatch.setenv(OBSERVED, "us")
        with pytest.raises(ResidencyRefused, match="here is us"):
            function(**given)

    monkeypatch.setenv(OBSERVED, "eu")
    apart(run)


def test_one_input_of_many_makes_another_decision(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    @resident
    def look(many: list[Dataset]) -> None:
        pass

    def run() -> None:
        enter(settings)
        for last in (EU, BOTH):
            look([BOTH] * 30 + [last])

    monkeypatch.setenv(OBSERVED, "eu")
    apart(run)
    assert [each.facts["task"] for each in events(settings)] == ["configuration", "look", "look"]
