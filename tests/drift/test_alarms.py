"""Real flights, the default rules and the trigger: silence without drift, an alarm under it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ALARMS = Path(__file__).parents[2] / "benchmarks" / "alarms.py"


@pytest.fixture(scope="module")
def alarms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("alarms", ALARMS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["alarms"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def world(alarms: ModuleType):
    return alarms.world_of(0)


def test_forty_windows_without_drift_ring_no_alarm(alarms: ModuleType, world):
    drifted, rang = alarms.series(world, "none", 500, 40, seed=0)
    assert not any(rang)
    assert sum(drifted) <= 1


@pytest.mark.parametrize("change", ["delays 15 min longer", "thermometer silent"])
@pytest.mark.parametrize("size", [200, 2000])
def test_strong_drift_rings_within_three_windows(alarms: ModuleType, world, change: str, size: int):
    drifted, rang = alarms.series(world, change, size, 3, seed=0)
    assert any(rang)
    assert all(drifted)


@pytest.mark.parametrize(("found", "of"), [(0, 200), (5, 200), (200, 200)])
def test_the_interval_of_a_rate_is_wilsons(alarms: ModuleType, found: int, of: int):
    from scipy.stats import binomtest

    expected = binomtest(found, of).proportion_ci(method="wilson")
    assert alarms.wilson(found, of) == pytest.approx((expected.low, expected.high), abs=1e-9)
