"""What a configuration reads from the environment, and a look at it where that is missing."""

import os
from pathlib import Path

import pytest

from mlops_tasks.errors import SettingsError
from mlops_tasks.settings.compose import compose, environment_read
from mlops_tasks.settings.infrastructure import Storage, Tracking


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("MLOPS_") and each != "MLOPS_HOME"]:
        monkeypatch.delenv(name)


def test_names_are_those_of_the_chosen_files_and_overrides_alone(root: Path) -> None:
    assert all(not needed for needed in environment_read(root).values()), "local asks for nothing"
    team = environment_read(root, ["stack=team"])
    assert {name for name, needed in team.items() if needed} == {
        "MLOPS_ANCHOR",
        "MLOPS_BUCKET",
        "MLOPS_SHARED_LEDGER_URI",
        "MLOPS_SHARED_TRACKING_URI",
    }
    assert list(team) == sorted(team)
    more = environment_read(root, ["data.path=${oc.env:WHERE}", "stack.store='${oc.env:A,b}'"])
    assert (more["WHERE"], more["A"]) == (True, False)
    less = environment_read(root, ["stack=team", "stack.anchor=/srv/anchor"])
    assert set(team) - set(less) == {"MLOPS_ANCHOR"}


def test_a_name_with_and_without_a_default_is_needed(root: Path) -> None:
    both = ["data.path=${oc.env:A}", "stack.store='${oc.env:A,b}'"]
    assert environment_read(root, both)["A"] is True
    assert environment_read(root, both[::-1])["A"] is True


def test_stand_ins_hold_for_one_composition_and_replace_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_BUCKET", "s3://flights")
    names = environment_read(root, ["stack=team"])
    stand_ins = dict.fromkeys(names, "unset")
    stack = compose(root, ["stack=team"], placed=False, stand_ins=stand_ins).stack
    assert (stack.anchor, stack.store) == ("unset", "s3://flights/store")
    assert "MLOPS_ANCHOR" not in os.environ
    with pytest.raises(SettingsError, match="MLOPS_"):
        compose(root, ["stack=team"], placed=False)
    monkeypatch.setenv("MLOPS_ANCHOR", "")
    compose(root, ["stack=team"], placed=False, stand_ins=stand_ins)
    assert os.environ["MLOPS_ANCHOR"] == "", "as it was before"


def test_a_stack_has_two_views_of_its_places(root: Path) -> None:
    stack = compose(root).stack
    assert stack.storage == Storage(stack.store, stack.predictions, stack.artifact_root)
    assert stack.tracking == Tracking(stack.tracking_uri, stack.ledger, stack.anchor)
