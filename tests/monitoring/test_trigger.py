"""Hysteresis, cool-down and budget against a rule that reads the whole history each time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_tasks.errors import DataError
from mlops_tasks.monitoring.trigger import Decision, Observation, TriggerState, step
from mlops_tasks.settings.monitoring import TriggerRules

START = datetime(2026, 3, 1, tzinfo=UTC)
VERDICTS = st.sampled_from(["drift", "drift", "no drift", "not enough rows"])
HISTORIES = st.lists(st.tuples(st.integers(0, 40), VERDICTS, st.sampled_from("aaab")), max_size=40)


@st.composite
def rules_of(draw: st.DrawFn) -> TriggerRules:
    of = draw(st.integers(1, 6))
    return TriggerRules(
        drifted_windows=draw(st.integers(1, of)),
        of_windows=of,
        cool_down_hours=draw(st.sampled_from([0.0, 5.5, 24.0, 100.0])),
        budget=draw(st.integers(0, 3)),
        budget_days=draw(st.sampled_from([0.5, 2.0, 7.0])),
    )


def windows_of(history: list[tuple[int, str, str]]) -> list[Observation]:
    found, at = [], START
    for number, (hours, verdict, reference) in enumerate(history):
        at += timedelta(hours=hours)
        found.append(Observation(f"window {number}", at, verdict, reference))  # type: ignore[arg-type]
    return found


def replay(windows: list[Observation], rules: TriggerRules) -> tuple[TriggerState, list[Decision]]:
    state, decisions = TriggerState(), []
    for each in windows:
        state, decision = step(state, each, rules)
        decisions.append(decision)
    return state, decisions


@dataclass
class Slow:
    """All windows and all trainings are kept, and asked anew for each window."""

    rules: TriggerRules

    def __post_init__(self) -> None:
        self.windows: list[Observation] = []
        self.started: list[datetime] = []

    def alarm(self, seen: Observation) -> bool:
        self.windows.append(seen)
        same = []
        for each in reversed(self.windows):
            if each.reference != seen.reference:
                break
            if each.verdict != "not enough rows":
                same.append(each)
        last = same[: self.rules.of_windows]
        drifted = [each for each in last if each.verdict == "drift"]
        return seen.verdict == "drift" and len(drifted) >= self.rules.drifted_windows

    def retrain(self, seen: Observation, alarm: bool) -> bool:
        hours = [(seen.at - each).total_seconds() / 3600 for each in self.started]
        free = all(each >= self.rules.cool_down_hours for each in hours)
        spent = sum(each < self.rules.budget_days * 24 for each in hours)
        found = alarm and free and spent < self.rules.budget
        if found:
            self.started.append(seen.at)
        return found


@given(HISTORIES, rules_of())
@settings(max_examples=300)
def test_decisions_are_those_of_a_rule_that_remembers_everything(history, rules: TriggerRules):
    slow = Slow(rules)
    windows = windows_of(history)
    for seen, decision in zip(windows, replay(windows, rules)[1], strict=True):
        alarm = slow.alarm(seen)
        assert decision.alarm == alarm, seen
        assert decision.retrain == slow.retrain(seen, alarm), seen
        assert decision.reasons
        assert decision.window == seen.window


@given(HISTORIES, rules_of(), st.data())
def test_a_window_handed_in_again_changes_nothing(history, rules: TriggerRules, data):
    windows = windows_of(history)
    twice = [again for each in windows for again in [each] * data.draw(st.integers(1, 3))]
    once, decisions = replay(windows, rules)
    state, answers = replay(twice, rules)
    assert state == once
    assert sum(each.retrain for each in decisions) == len({x.window for x in answers if x.retrain})


@given(HISTORIES, rules_of())
def test_a_replay_gives_the_same_state_and_the_state_stays_small(history, rules: TriggerRules):
    windows = windows_of(history)
    state, decisions = replay(windows, rules)
    assert replay(windows, rules) == (state, decisions)
    assert len(state.recent) <= rules.of_windows


@given(HISTORIES, rules_of())
def test_a_late_window_is_not_counted(history, rules: TriggerRules):
    windows = windows_of([(1, "drift", "a"), *history])
    state, _ = replay(windows, rules)
    late = Observation("late", START - timedelta(hours=1), "drift", "a")
    after, decision = step(state, late, rules)
    assert after == state
    assert not decision.alarm
    assert not decision.retrain
    assert windows[-1].window in decision.reasons[0]


def test_reasons_give_the_figures():
    rules = TriggerRules(cool_down_hours=48, budget=1, budget_days=7)
    windows = windows_of([(24, "drift", "a")] * 3 + [(24, "no drift", "a"), (1, "drift", "b")])
    said = [each.reasons for each in replay(windows, rules)[1]]
    assert said[0] == ("1 of the last 1 windows have drifted, it takes 2 of 3",)
    assert said[1] == ("2 of the last 2 windows have drifted, it takes 2 of 3",)
    assert said[2] == (
        "3 of the last 3 windows have drifted, it takes 2 of 3",
        "the last training was started recently, cool-down until 2026-03-05T00:00:00+00:00",
        "the budget is spent: 1 trainings within 7 days, the rules allow 1",
    )
    assert said[3][0].startswith("the latest window has not drifted; 2 of the last 3")
    assert said[4] == ("1 of the last 1 windows have drifted, it takes 2 of 3",)


def test_a_window_without_a_zone_is_refused():
    with pytest.raises(DataError, match="time zone"):
        step(TriggerState(), Observation("w", datetime(2026, 3, 1), "drift"), TriggerRules())


def test_rules_that_cannot_be_met_are_refused():
    for wrong in (
        {"drifted_windows": 4},
        {"drifted_windows": 0},
        {"cool_down_hours": -1},
        {"budget": -1},
        {"budget_days": 0},
        {"budget_days": 1e12},
        {"cool_down": 3},
    ):
        with pytest.raises(ValidationError):
            TriggerRules(**wrong)
