"""The monitor's figures are on the server's page, and what cannot be read is no figure."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlops_tasks.errors import StorageError
from mlops_tasks.serving.gauges import read_gauges, write_gauges
from mlops_tasks.serving.prediction_log.places import place_of
from tests.registry.life import PROJECT, Life


def figures(content: bytes) -> dict[str, float]:
    found = text_string_to_metric_families(content.decode())
    return {s.name: s.value for family in found for s in family.samples}


def test_the_newest_window_is_shown(tmp_path: Path) -> None:
    settings = Life(tmp_path).settings()
    assert read_gauges(settings.stack, PROJECT) == b""
    write_gauges(settings, PROJECT, {"drift_share": 0.5, "old": 1.0})
    write_gauges(settings, PROJECT, {"drift_share": 0.25, "drift_detected": 1})
    assert figures(read_gauges(settings.stack, PROJECT)) == {
        "mlops_monitoring_drift_share": 0.25,
        "mlops_monitoring_drift_detected": 1.0,
    }
    folder = Path(str(place_of(settings.stack, PROJECT).folder))
    assert [each.name for each in folder.iterdir()] == ["monitoring.prom"], "nothing half-written"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "predictions").write_text("a file where a folder should be")
    settings = Life(tmp_path).settings()
    with pytest.raises(StorageError) as raised:
        write_gauges(settings, PROJECT, {"drift_share": 0.5})
    assert raised.value.next_step
    assert read_gauges(settings.stack, PROJECT) == b""
