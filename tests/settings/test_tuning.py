"""A space of parameters says what it means, or is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from mlops_tasks.settings.tuning import Dimension, TuningSettings


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "needs `low` and `high`, or `choices`"),
        ({"low": 1}, "needs `low` and `high`"),
        ({"low": 2, "high": 2}, "`low` must be below `high`"),
        ({"low": 0, "high": 2, "log": True}, "`log` needs a `low` above 0"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "do not go together"),
        ({"low": 1, "high": 9, "step": 0.5}, "need a whole `step`"),
        ({"low": 1, "high": 9, "step": 0}, "greater than 0"),
        ({"choices": ["a"], "low": 1}, "either `choices`"),
        ({"low": 1, "high": 9, "logarithmic": True}, "Extra inputs"),
        ({"low": 1.0, "high": float("inf")}, "finite"),
    ],
)
def test_what_makes_no_sense_is_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Dimension.model_validate(words)


def test_whole_ends_mean_whole_numbers() -> None:
    assert Dimension(low=1, high=3).whole
    assert not Dimension(low=1.0, high=3.0).whole
    assert not Dimension(low=1, high=3.5).whole
    assert Dimension(choices=("a", "b")).first == "a"


def test_written_and_read_again_it_is_the_same() -> None:
    spaces = {"forest": {"leaf": Dimension(low=1, high=3), "C": Dimension(low=0.5, high=2.0)}}
    settings = TuningSettings(spaces=spaces)
    assert TuningSettings.model_validate_json(settings.model_dump_json()) == settings
