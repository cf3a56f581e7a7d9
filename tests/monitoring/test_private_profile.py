"""What the prediction log may not keep is not in a profile; what it hashes can still drift."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_tasks.artifacts import Champion, Decision, Evidence, Lineage
from mlops_tasks.data.frames import write_frame
from mlops_tasks.drift.verdict import ColumnDrift, DriftReport
from mlops_tasks.inference.predictors import NativePredictor
from mlops_tasks.monitoring import detection
from mlops_tasks.monitoring.window import Window
from mlops_tasks.registry.release import Release
from mlops_tasks.registry.serving_files import PROFILE_FILE, read_serving_files, write_serving_files
from mlops_tasks.serving.prediction_log.reader import EVER, predictions
from mlops_tasks.serving.prediction_log.records import Answered
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings import Settings
from mlops_tasks.training.model_files import read_model
from tests.monitoring.live import COLUMNS, Live, learn
from tests.registry.life import PROJECT, Life

DROPPED, HASHED = "departure_delay_minutes", ("carrier", "scheduled_hour")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = Window(NOW, NOW + timedelta(hours=1))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    return learn(tmp_path_factory.mktemp("store"), mixed=True)


def settings(
    folder: Path, drop: Sequence[str] = (DROPPED,), hashed: Sequence[str] = HASHED
) -> Settings:
    raw = Life(folder).settings().model_dump()
    raw["serving"]["log"] |= {"drop": drop, "hashed": hashed}
    return Settings.model_validate(raw)


def packaged(live: Live, here: Settings, folder: Path) -> Release:
    lineage = Lineage("none", True, "", "t", "c", "e", "d", "0", 1, "x")
    decision = Decision(True, (), "p")
    evidence = Evidence(live.candidate, live.evaluation, (), decision, lineage)
    folder.mkdir()
    write_serving_files(here, evidence, folder)
    return Release(1, "run", evidence, "", read_serving_files(folder))


def judged(
    release: Release, here: Settings, live: Live, rows: pl.DataFrame, patch: pytest.MonkeyPatch
) -> dict[str, ColumnDrift]:
    found = reported(release, here, live, rows, patch)
    return {each.name: each for each in found.columns}


def reported(
    release: Release, here: Settings, live: Live, rows: pl.DataFrame, patch: pytest.MonkeyPatch
) -> DriftReport:
    """Answer rows into a real log, and hold what that kept against the profile."""
    names, asked = COLUMNS.features, rows.select(COLUMNS.features).rows()
    estimator = read_model(live.candidate.model_uri, live.candidate.digest)
    log = open_log(here, names)
    if asked:
        scores = [float(each) for each in NativePredictor(estimator, live.features).scores(asked)]
        labels = [int(each >= 0.5) for each in scores]
        said: Any = ("demo", 1, live.candidate.digest, "local", "champion", 1.0, names)
        log.append(Answered("a", NOW, *said, asked, scores, labels))
    log.close()
    traffic = write_frame(predictions(here, PROJECT, *EVER), here.stack.store, regions=("local",))
    patch.setattr(detection, "release_of", lambda *_: release)
    champion = Champion(1, "run", live.candidate)
    return detection.detect(here, champion, traffic, HOUR).report


def test_the_profile_has_no_value_that_the_log_may_not_keep(live: Live, tmp_path: Path) -> None:
    packaged(live, settings(tmp_path), tmp_path / "private")
    packaged(live, settings(tmp_path, (), ()), tmp_path / "open")
    private, plain = ((tmp_path / name / PROFILE_FILE).read_bytes() for name in ("private", "open"))
    carriers = [f'"{name}"'.encode() for name in live.unseen["carrier"].unique()]
    assert all(name in plain for name in carriers)
    assert not any(name in private for name in carriers)
    assert DROPPED.encode() in plain
    assert DROPPED.encode() not in private
    kept = json.loads(private)["value"]
    columns = {
        bins["name"]: (bins, tally)
        for bins, tally in zip(kept["bins"], kept["reference"]["tallies"], strict=True)
    }
    for name in HASHED:
        bins, tally = columns[name]
        assert (bins["edges"], tally["low"], tally["high"]) == ([], None, None)
        assert len(bins["levels"]) > 5
        assert all(level.startswith("hmac:") for level in bins["levels"])
    assert columns["distance_miles"][0]["edges"], "what may be kept is"


def test_drift_of_what_is_hashed_is_seen(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for name, rows in (
        ("same", live.unseen[:1500]),
        ("other", live.unseen.filter(pl.col("scheduled_hour") < 12)[:1500]),
    ):
        folder = tmp_path / name
        here = settings(folder)
        release = packaged(live, here, tmp_path / f"{name} package")
        found[name] = judged(release, here, live, rows, monkeypatch)
    for columns in found.values():
        assert DROPPED not in columns
        assert all(columns[name].judged for name in HASHED)
    assert not any(found["same"][name].drifted for name in HASHED)
    assert found["other"]["scheduled_hour"].drifted


def test_digests_are_never_held_against_values(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy may have changed since the model was registered."""
    for name, before, now in (("hashed later", (), HASHED), ("plain later", HASHED, ())):
        folder = tmp_path / name
        release = packaged(live, settings(folder, (), before), tmp_path / f"{name} package")
        here = settings(folder, (), now)
        columns = judged(release, here, live, live.unseen[:1500], monkeypatch)
        for column in HASHED:
            assert columns[column].verdict == "not enough rows"
            assert "a digest on one side only" in columns[column].reason
        assert columns[DROPPED].judged


@pytest.mark.parametrize("hide", ["drop", "hash"])
def test_a_window_of_which_no_feature_is_seen_is_not_without_drift(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hide: str
) -> None:
    release = packaged(live, settings(tmp_path, (), ()), tmp_path / "package")
    hidden = (COLUMNS.features, ()) if hide == "drop" else ((), COLUMNS.features)
    report = reported(release, settings(tmp_path, *hidden), live, live.unseen[:1500], monkeypatch)
    assert (report.verdict, report.drifted) == ("not enough rows", False)
    assert {each.name for each in report.columns if each.judged} == {"score"}
    assert any(COLUMNS.features[0] in each for each in report.reasons)


def test_a_window_without_rows_is_not_judged_whatever_is_critical(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = settings(tmp_path, (), ()).model_dump()
    raw["monitoring"]["drift"]["critical"] = ("carrier",)
    here = Settings.model_validate(raw)
    release = packaged(live, here, tmp_path / "package")
    report = reported(release, here, live, live.unseen[:0], monkeypatch)
    assert (report.verdict, report.rows) == ("not enough rows", 0)
