"""Labels that come late, out of order and after a promotion, through the real flow of a project."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Generated
from tests.monitoring import answering

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
FIRST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=20)
ROWS = 300


@dataclass
class Watched:
    """A project with traffic; windows are hours, counted from 20 hours ago."""

    ours: Generated
    labels: dict[tuple[int, int], str] = field(default_factory=dict)

    def answer(self, hour: int, part: int = 0) -> None:
        words = (str(self.ours.root), _time(hour), str(ROWS), str(ROWS * (2 * hour + part)))
        found = self.ours.run("python", answering.__file__, *words)
        self.labels[hour, part] = found.stdout

    def judge(self, hour: int) -> dict[str, Any]:
        words = ("--start", _time(hour), "--end", _time(hour + 1), "--json")
        return dict(json.loads(self.ours.run("mlops", "monitor", *words).stdout))

    def label(self, hour: int, part: int = 0, *, rows: int = ROWS, turned: bool = False) -> None:
        """Hand in labels; turned ones say the opposite of what is true."""
        head, *lines = self.labels[hour, part].splitlines()
        if turned:
            lines = [f"{line[:-1]}{1 - int(line[-1])}" for line in lines]
        file = self.ours.root.parent / "labels.csv"
        file.write_text("\n".join([head, *lines[:rows]]) + "\n")
        self.ours.run("mlops", "log", "label", str(file))

    def windows(self) -> dict[int, Any]:
        """The MLflow run of each hour."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.ours.environment['MLOPS_HOME']}/mlflow.db")
        place = client.get_experiment_by_name("flight-delay-monitoring")
        runs = client.search_runs([place.experiment_id])
        named = {each.data.tags["mlops.window_end"]: each for each in runs}
        assert len(named) == len(runs), "a window has one run"
        return {hour: named[_time(hour + 1)] for hour in range(20) if _time(hour + 1) in named}

    def gauges(self) -> dict[str, float]:
        [file] = Path(self.ours.environment["MLOPS_HOME"]).rglob("monitoring.prom")
        lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}

    def recorded(self) -> list[tuple[str, str]]:
        words = ("--action", "drift", "--action", "alarm", "--action", "retraining", "--json")
        found = self.ours.run("mlops", "audit", "log", *words).stdout
        events = [json.loads(line)["event"] for line in found.splitlines()]
        return [(each["action"], each["facts"]["window"]) for each in events]


def _time(hour: int) -> str:
    return (FIRST + timedelta(hours=hour)).isoformat()


@pytest.fixture(scope="module")
def watched(project: Generated, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    copy = project.copy(tmp_path_factory.mktemp("late"))
    copy.run("mlops", "train", "model=linear")
    return Watched(copy)


def test_late_labels_are_followed(watched: Watched) -> None:
    for hour in (0, 1, 2):
        watched.answer(hour)
    for hour in (0, 2, 1):
        report = watched.judge(hour)
        assert (report["version"], report["rows"], report["figures"].get("realised")) == (
            1,
            ROWS,
            None,
        )
    watched.answer(1, 1)  # of another machine, for example: their part of the log comes late
    newest = watched.gauges()
    assert newest["mlops_monitoring_labels"] == 0
    assert newest["mlops_monitoring_window_end_seconds"] == FIRST.timestamp() + 3 * 3600

    # Out of order: the newest has all, one before it has some, too few for a figure.
    watched.label(2)
    watched.label(0, rows=10)
    judged = watched.recorded()
    assert watched.judge(2)["figures"]["realised"] > 0.5
    found = watched.windows()
    assert [found[hour].data.metrics["labels"] for hour in (0, 1, 2)] == [10, 0, ROWS]
    assert "realised_roc_auc" not in found[0].data.metrics
    assert watched.recorded() == judged, "nothing is judged another time"
    assert watched.gauges()["mlops_monitoring_labels"] == ROWS


def test_after_a_promotion_they_are_those_of_the_version_that_answered(watched: Watched) -> None:
    watched.ours.run("mlops", "train", "model=boosting")
    watched.answer(3)
    watched.label(3, rows=50)
    watched.label(0)
    watched.label(1)
    report = watched.judge(3)
    assert (report["version"], report["window"][:13]) == (2, _time(3)[:13])
    found = watched.windows()
    assert [found[hour].data.tags["mlops.version"] for hour in range(4)] == ["1", "1", "1", "2"]
    assert [found[hour].data.metrics["labels"] for hour in range(4)] == [ROWS] * 3 + [50]
    assert found[1].data.metrics["drift_rows"] == 2 * ROWS
    page = Path(found[0].info.artifact_uri.removeprefix("file://"), "report.html").read_text()
    assert f"{ROWS} of {ROWS} rows have a label" in page
    gauges = watched.gauges()
    assert gauges["mlops_monitoring_labels"] == 50, "those of the newest window"

    # A correction, and an older window that is asked for by its time.
    right = found[1].data.metrics["realised_roc_auc"]
    watched.label(1, turned=True)
    judged = watched.recorded()
    again = watched.judge(1)
    assert (again["version"], again["rang"]) == (1, False)
    found = watched.windows()
    assert found[1].data.metrics["realised_roc_auc"] == pytest.approx(1 - right)
    assert watched.gauges() == gauges
    assert watched.recorded() == judged
    before = {hour: each.data.metrics for hour, each in found.items()}
    watched.judge(3)
    assert {hour: each.data.metrics for hour, each in watched.windows().items()} == before


def test_windows_that_nobody_judged_are_made_up_for(watched: Watched) -> None:
    """The worker was away: one run without a name judges all of them, in their order."""
    last = FIRST + timedelta(hours=4)
    before = watched.recorded()
    words = ("monitoring.window_hours=2", "--json")
    report = json.loads(watched.ours.run("mlops", "monitor", *words).stdout)
    made_up = [name for action, name in watched.recorded()[len(before) :] if action == "drift"]
    ends = [datetime.fromisoformat(name.partition("/")[2]) for name in made_up]
    assert last < ends[0] < last + timedelta(hours=4), "none is left out"
    assert all(later - end == timedelta(hours=2) for end, later in pairwise(ends))
    assert len(ends) in (7, 8)
    assert made_up[-1] == report["window"]
    judged = watched.recorded()
    watched.ours.run("mlops", "monitor", *words)
    assert watched.recorded() == judged, "and once"
