"""Who stands beside the champion takes every row that the champion takes."""

import itertools
import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from mlops_tasks.errors import DataError
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.inference.features import LARGEST_FLOAT, Feature
from mlops_tasks.serving.online import shelf
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.schema import RowSchema
from mlops_tasks.serving.traffic.steering import start_canary, withdraw_canary
from tests.registry.life import PROJECT, Life
from tests.serving.online.conftest import QUICK, placed, running, wait

PLAIN = [
    *(Feature("x", "float", kind, False) for kind in (pl.Float32(), pl.Float64())),
    *(Feature("x", "integer", kind, False) for kind in (pl.Int8(), pl.Int64(), pl.UInt8())),
    *(Feature("x", "integer", kind, False) for kind in (pl.UInt16(), pl.UInt64())),
    Feature("x", "boolean", pl.Boolean(), False),
    *(Feature("x", "text", kind, False) for kind in (pl.String(), pl.Categorical())),
    *(
        Feature("x", "text", pl.Enum(some), False, some)
        for some in (("a", "b"), ("b", "a", "c"), ("c",))
    ),
]
FEATURES = [*PLAIN, *(replace(each, nullable=True) for each in PLAIN)]
EDGES = [0, -1, 127, 128, -128, -129, 255, 256, 65_535, 65_536, 2**63 - 1, -(2**63)]
VALUES: list[Any] = [None, True, *EDGES, 0.5, LARGEST_FLOAT, "a", "b", "c", "d", ""]
ROWS = [json.dumps({"x": value}).encode() for value in VALUES] + [b"{}"]


def taken(schema: RowSchema) -> set[bytes]:
    found = set()
    for row in ROWS:
        try:
            schema.rows(row)
        except DataError:
            continue
        found.add(row)
    return found


def test_it_says_yes_just_where_no_row_of_the_champion_would_be_refused() -> None:
    schemas = [(each, RowSchema((each,), 10)) for each in FEATURES]
    rows = {id(schema): taken(schema) for _, schema in schemas}
    yes = 0
    for (feature, ours), (other, theirs) in itertools.product(schemas, schemas):
        all_taken = rows[id(theirs)] <= rows[id(ours)]
        if ours.takes_all_of(theirs):
            yes += 1
            assert all_taken, (feature, other)
        elif feature.kind == other.kind:  # across kinds it may be strict
            assert not all_taken, (feature, other)
    assert len(FEATURES) < yes < len(FEATURES) ** 2


@pytest.mark.parametrize("names", [("x",), ("x", "y", "z"), ("x", "z"), ("y", "x")])
def test_other_columns_are_other_rows(names: tuple[str, ...]) -> None:
    def schema(*columns: str) -> RowSchema:
        return RowSchema([replace(PLAIN[0], name=name) for name in columns], 10)

    assert schema("x", "y").takes_all_of(schema("x", "y"))
    assert not schema(*names).takes_all_of(schema("x", "y"))


def test_a_canary_that_takes_less_never_answers(
    trained: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, settings = shelf.load_version, placed(trained)

    def narrower(client: Any, stack: Any, version: Any, **named: Any) -> Any:
        served = load(client, stack, version, **named)
        if served.version == 2:
            return served
        some = tuple(replace(each, name=f"{each.name}_new") for each in served.schema.features)
        return replace(served, schema=RowSchema(some, QUICK.max_rows))

    def refused() -> list[str]:
        wanted = Wanted(subject=PROJECT, action=(shelf.ACTION,), outcome="refused")
        found = [each.event for each in ledger_of(settings.stack).entries(wanted)]
        return [each.reason for each in found if each.facts["role"] == "canary"]

    monkeypatch.setattr(shelf, "load_version", narrower)
    before = len(refused())
    start_canary(trained.root, settings, 1, 1.0)
    try:
        with running(application(settings, QUICK)) as server:
            server.wait_for(2)
            wait(lambda: len(refused()) > before, "no event")
            for number in range(20):
                answer = server.ask(
                    "POST",
                    "predict",
                    json={"x": 0.1, "y": 0.2},
                    headers={"x-request-key": str(number)},
                )
                assert (answer.status_code, answer.headers["x-model-version"]) == (200, "2")
    finally:
        withdraw_canary(settings)
    assert "its columns are not those of the champion" in refused()[-1]
