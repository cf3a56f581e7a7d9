"""Artifacts are read back as they were written, in any process, and are named by what they are."""

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tasks import artifacts, errors
from mlops_tasks.artifacts import (
    CalibrationBin,
    Candidate,
    Champion,
    Check,
    Code,
    Columns,
    Comparison,
    Dataset,
    Decision,
    Evaluation,
    Evidence,
    Importance,
    Interval,
    Lineage,
    Registration,
    SliceScore,
    Split,
)
from mlops_tasks.encoding import ARTIFACTS, decode, digest, encode

ROWS = Dataset("s3://lake/a.parquet", "d" * 64, 10, ("id", "late"), ("eu-north-1",), "5" * 32, 2)
COLUMNS = Columns(("id",), "late", ("miles",), ("carrier",), time="when", group=None)
CANDIDATE = Candidate(
    "s3://lake/m.skops",
    "c" * 64,
    "forest",
    {"trees": 3, "weights": {"a": [1, 0.5, None]}, "on": True},
    7,
    ROWS,
    COLUMNS,
    Code("pkg.model:MODELS", "e" * 64),
    1_000,
    2.5,
)
SCORE = Interval(0.8, 0.7, 0.9)
EVALUATION = Evaluation(
    "c" * 64,
    ROWS,
    "roc_auc",
    10,
    4,
    {"roc_auc": SCORE, "log_loss": Interval(0.1, 0.0, 0.2)},
    (SliceScore("carrier", "AA", 5, 2, SCORE), SliceScore("carrier", "ÖØ", 1, 0, None)),
    (CalibrationBin(0.0, 0.1, 3, 0.05, 0.04),),
    (Importance("miles", 0.1, 0.01, False), Importance("carrier", 0.0, 0.01, True)),
    ROWS,
    1.5,
)
COMPARISON = Comparison("champion", "b" * 64, "roc_auc", 0.7, SCORE, None)
DECISION = Decision(False, (Check("rows", False, "too few"),), "a" * 64)
LINEAGE = Lineage("abc", True, "md5", "d", "c", "e", "f", "0.1.0", 7, "local")
EXAMPLES: dict[type, Any] = {
    Dataset: ROWS,
    Split: Split(ROWS, dataclasses.replace(ROWS, digest="f" * 64), COLUMNS, "time"),
    Candidate: CANDIDATE,
    Evaluation: EVALUATION,
    Comparison: COMPARISON,
    Decision: DECISION,
    Lineage: LINEAGE,
    Evidence: Evidence(CANDIDATE, EVALUATION, (COMPARISON,), DECISION, LINEAGE),
    Champion: Champion(3, "run", CANDIDATE),
    Registration: Registration(
        "m", "run", None, False, ("why",), "roc_auc", SCORE, "c", "file:///r"
    ),
}
kinds = pytest.mark.parametrize("kind", ARTIFACTS, ids=lambda kind: kind.__name__)


def test_there_is_an_example_of_every_artifact() -> None:
    assert set(EXAMPLES) == set(ARTIFACTS)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def built(kind: type) -> st.SearchStrategy[Any]:
    """Any instance of a dataclass: fields by their type, parameters as YAML could hold them."""
    fields = {
        name: st.dictionaries(st.text(), PLAIN, max_size=3) if name == "params" else values_of(hint)
        for name, hint in get_type_hints(kind).items()
    }
    return st.builds(kind, **fields)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    if dataclasses.is_dataclass(hint):
        return st.deferred(lambda: built(hint))
    if hint is float:
        return st.floats(allow_nan=False)
    arguments = getattr(hint, "__args__", ())
    if Ellipsis in arguments:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if getattr(hint, "__origin__", None) is dict:
        return st.dictionaries(st.text(), values_of(arguments[1]), max_size=2)
    if type(None) in arguments:
        return st.one_of([values_of(argument) for argument in arguments])
    return st.from_type(hint)


@kinds
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_what_is_encoded_is_decoded_equal(kind: type, data: st.DataObject) -> None:
    artifact = data.draw(built(kind))
    restored = decode(encode(artifact))
    assert restored == artifact
    assert type(restored) is kind
    assert digest(restored) == digest(artifact)
    assert encode(restored) == encode(artifact), "also what does not count for equality"


def test_lists_and_nothing_travel_too() -> None:
    assert decode(encode(list(EXAMPLES.values()))) == tuple(EXAMPLES.values())
    assert decode(encode((ROWS, None, (ROWS,)))) == (ROWS, None, (ROWS,))
    assert decode(encode(None)) is None


def test_another_process_reads_it_and_names_it_the_same() -> None:
    program = (
        "import sys; from mlops_tasks.encoding import decode, digest, encode\n"
        "data = sys.stdin.buffer.read()\n"
        "assert encode(decode(data)) == data\n"
        "print(*(digest(item) for item in decode(data)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=encode(list(EXAMPLES.values())), capture_output=True
    )
    assert done.stdout.decode().split() == [digest(item) for item in EXAMPLES.values()]


def test_digests_are_pinned() -> None:
    """A digest that changes silently would orphan every cached result and registered model."""
    assert digest(ROWS) == "b323ca80e2470baecc10d425b9f53c31397843d69815dee01a4fb3e2631e246d"
    assert digest(EVALUATION) == "b7b769bf2db6d74dfea55d50a3e9eb89c6b48759d0bf6b6055cfa0d2e1b5ea5a"


@pytest.mark.parametrize("value", [ROWS.columns, "text", 3, {"type": "Dataset"}, COLUMNS, object()])
def test_other_values_do_not_travel(value: object) -> None:
    with pytest.raises(TypeError, match="does not travel"):
        encode([value])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"1",
        b'"text"',
        b"true",
        b"null",
        b"{}",
        b'["Dataset"]',
        b'{"type": "Dataset"}',
        b'{"value": {}}',
        b'{"type": "Dataset", "value": {}}',
        b'{"type": "Dataset", "value": null}',
        b'{"type": "Dataset", "value": []}',
        b'{"type": "Columns", "value": {}}',
        b'{"type": "Code", "value": {"reference": "os:system", "digest": ""}}',
        b'{"type": "object", "value": {}}',
        b'{"type": ["Dataset"], "value": {}}',
        b'{"type": null, "value": {}}',
        b'[{"type": "NoneType", "value": null}, 3]',
        encode(ROWS).replace(b'"rows":10', b'"rows":"many"'),
        encode(ROWS).replace(b'"rows":10', b'"rows":10.5'),
        encode(ROWS).replace(b'"rows":10,', b""),
        encode(ROWS).replace(b'"columns":["id","late"]', b'"columns":"id"'),
        encode(CANDIDATE).replace(b'"late"', b"null"),
    ],
)
def test_malformed_input_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(data)


def other(value: Any) -> Any:
    """A value of the same kind that is not equal."""
    if dataclasses.is_dataclass(value):
        first = next(item for item in dataclasses.fields(value) if item.compare)
        return dataclasses.replace(value, **{first.name: other(getattr(value, first.name))})
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple):
        return value[:-1] if value else ("x",)
    if isinstance(value, dict):
        return dict(list(value.items())[:-1])
    return 1 if value is None else None


def parts(value: Any) -> list[Any]:
    """A dataclass and all dataclasses inside it."""
    if dataclasses.is_dataclass(value):
        inside = [getattr(value, item.name) for item in dataclasses.fields(value)]
        return [value, *(found for item in inside for found in parts(item))]
    if isinstance(value, tuple | dict):
        items = value.values() if isinstance(value, dict) else value
        return [found for item in items for found in parts(item)]
    return []


@kinds
def test_the_digest_is_of_every_field_that_counts_and_of_no_other(kind: type) -> None:
    for part in parts(EXAMPLES[kind]):
        for item in dataclasses.fields(part):
            changed = dataclasses.replace(part, **{item.name: other(getattr(part, item.name))})
            assert (digest(changed) != digest(part)) == item.compare, item.name
            assert (changed != part) == item.compare, item.name


def test_place_and_time_do_not_count_wherever_they_are() -> None:
    moved = dataclasses.replace(ROWS, uri="gs://elsewhere/b.parquet")
    slower = dataclasses.replace(CANDIDATE, model_uri="x", fit_seconds=99.0, train=moved)
    assert digest(Champion(3, "run", slower)) == digest(EXAMPLES[Champion])
    assert digest([{"rows": moved}]) == digest([{"rows": ROWS}])
    assert digest(dataclasses.replace(EVALUATION, latency_ms=9.0)) == digest(EVALUATION)


def test_the_order_of_parameters_does_not_count_but_that_of_a_list_does() -> None:
    turned = dataclasses.replace(CANDIDATE, params=dict(reversed(CANDIDATE.params.items())))
    assert list(turned.params) != list(CANDIDATE.params)
    assert digest(turned) == digest(CANDIDATE)
    assert digest([1, 2]) != digest([2, 1])


def test_artifacts_are_frozen() -> None:
    for artifact in EXAMPLES.values():
        field = dataclasses.fields(artifact)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(artifact, field, None)


def test_every_type_that_is_inside_another_can_be_read_back() -> None:
    """A new type in artifacts.py is either in ARTIFACTS or part of one of them."""
    inside = {type(part) for example in EXAMPLES.values() for part in parts(example)}
    defined = {
        kind
        for _, kind in inspect.getmembers(artifacts, dataclasses.is_dataclass)
        if kind.__module__ == artifacts.__name__
    }
    assert defined == inside


def test_derived_properties() -> None:
    assert COLUMNS.features == ("miles", "carrier")
    assert EVALUATION.useless_features == ("carrier",)
    checks = (Check("a", False, "first"), Check("b", True, "fine"), Check("c", False, "second"))
    assert Decision(False, checks, "").reasons == ("first", "second")


ERRORS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_travel_with_their_data(kind: type[errors.MlopsError], protocol: int) -> None:
    more = {"rows": 9, "bad_rows": 3, "examples": ["row 1", "row 2"]}
    error = kind(
        "what [red]", where="here", next_step="do", **more if kind is errors.ContractBroken else {}
    )
    for twin in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(twin) is kind
        assert vars(twin) == vars(error)
        assert str(twin) == str(error)
        assert twin.args == error.args
        assert isinstance(twin, errors.MlopsError)
    assert [line.strip() for line in str(error).splitlines()[:3]] == [
        "what [red]",
        "where: here",
        "next:  do",
    ]


def test_a_broken_contract_shows_its_examples() -> None:
    error = errors.ContractBroken("bad", rows=9, bad_rows=2, examples=["row 1: x", "row 7: y"])
    assert str(error).splitlines() == ["bad", "    row 1: x", "    row 7: y"]
