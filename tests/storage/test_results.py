"""Which earlier results count: read through Prefect's own result store, without a server."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.results import ResultStore
from upath import UPath

from mlops_tasks.artifacts import Candidate, Code, Columns, Dataset
from mlops_tasks.encoding import digest
from mlops_tasks.governance import residency
from mlops_tasks.platform.caching import ArtifactSerializer, ByContent
from mlops_tasks.platform.results import SharedResults, sealed
from mlops_tasks.settings import ModelSettings
from mlops_tasks.storage import put
from mlops_tasks.tasks import fit

KEY = "k" * 64
RECORD = b'{"metadata": {}, "result": ""}'


def keep(store: str, content: bytes, suffix: str) -> tuple[str, str]:
    return put(store, lambda path: path.write_bytes(content) and None, suffix)[:2]


def candidate_in(store: str) -> Candidate:
    rows_uri, rows = keep(store, b"rows", ".parquet")
    uri, model = keep(store, b"model", ".skops")
    train = Dataset(rows_uri, rows, 4, ("a",), ("eu",))
    columns = Columns(("id",), "y", ("a",), ())
    return Candidate(uri, model, "linear", {}, 1, train, columns, Code("m:X", "c"), 5)


def results_at(where: str, store: str = "") -> ResultStore:
    return ResultStore(
        result_storage=SharedResults(where=where, store=store), serializer=ArtifactSerializer()
    )


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "local" else f"memory:/{tmp_path}/store"


@pytest.fixture
def kept(store: str) -> Candidate:
    """A candidate whose result is on record."""
    candidate = candidate_in(store)
    results_at(f"{store}/results").write(candidate, key=KEY)
    return candidate


def counts(store: str, key: str = KEY) -> bool:
    return results_at(f"{store}/results", store).exists(key)


def test_a_result_is_found_again_equal(store: str, kept: Candidate) -> None:
    assert counts(store)
    assert results_at(f"{store}/results", store).read(KEY).result == kept
    assert not counts(store, "n" * 64)


@pytest.mark.parametrize("part", ["model", "rows"])
@pytest.mark.parametrize("harm", ["deleted", "altered", "emptied"])
def test_an_object_that_is_not_as_it_was_costs_the_result(
    store: str, kept: Candidate, part: str, harm: str
) -> None:
    assert counts(store), "it was seen whole before"
    path = UPath(kept.model_uri if part == "model" else kept.train.uri)
    if harm == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"" if harm == "emptied" else b"other")
    assert not counts(store)
    candidate_in(store)  # computed again
    assert counts(store)


def rewrite(store: str, change: Any, key: str = KEY, *, seal: bool = True) -> None:
    """Alter the record as somebody would who knows how, or who does not care for the seal."""
    record = json.loads(UPath(f"{store}/results/{KEY}").read_bytes())
    content = json.dumps(change({name: record[name] for name in ("metadata", "result")})).encode()
    if seal:
        content = sealed(content, key)
    else:
        content = json.dumps(json.loads(content) | {"seal": record["seal"]}).encode()
    UPath(f"{store}/results/{key}").write_bytes(content)


@pytest.mark.parametrize("seal", [True, False])
def test_a_record_that_names_another_object_does_not_count(
    store: str, kept: Candidate, seal: bool
) -> None:
    def other_digest(record: dict[str, Any]) -> dict[str, Any]:
        return record | {"result": record["result"].replace(kept.digest, "0" * 64)}

    rewrite(store, other_digest, seal=seal)
    assert not counts(store)


def better(record: dict[str, Any]) -> dict[str, Any]:
    assert '"seed":1' in record["result"]
    return record | {"result": record["result"].replace('"seed":1', '"seed":2')}


def test_a_record_whose_values_were_altered_does_not_count(store: str, kept: Candidate) -> None:
    """No object tells that they are wrong: only the seal does."""
    rewrite(store, better, seal=False)
    assert not counts(store)
    rewrite(store, lambda record: record)
    assert counts(store)


def test_without_the_key_nobody_forges_a_record(
    store: str, kept: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(store, better)  # somebody who has no key
    monkeypatch.setenv("MLOPS_RESULTS_KEY", "a-key-of-the-team")
    assert not counts(store)
    results_at(f"{store}/results").write(kept, key=KEY)
    assert counts(store)
    text = UPath(f"{store}/results/{KEY}").read_text()
    assert "a-key-of-the-team" not in text


@pytest.mark.parametrize("seal", [True, False])
def test_the_record_of_another_step_does_not_count(store: str, kept: Candidate, seal: bool) -> None:
    rewrite(store, lambda record: record, key="o" * 64, seal=seal)
    assert not counts(store, "o" * 64)


def test_an_object_elsewhere_does_not_count(store: str, tmp_path: Path) -> None:
    elsewhere = candidate_in(str(tmp_path / "elsewhere"))
    results_at(f"{store}/results").write(elsewhere, key=KEY)
    assert not counts(store)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path(os.environ["BOMB"]).touch, ())


def test_a_record_that_asks_to_be_unpickled_runs_nothing(
    store: str, kept: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import base64

    monkeypatch.setenv("BOMB", str(tmp_path / "went-off"))
    blob = base64.encodebytes(pickle.dumps(Bomb())).decode()
    assert pickle.loads(base64.decodebytes(blob.encode())) is None
    assert (tmp_path / "went-off").exists(), "it is live"
    (tmp_path / "went-off").unlink()

    def armed(record: dict[str, Any]) -> dict[str, Any]:
        metadata = record["metadata"] | {"serializer": {"type": "pickle", "picklelib": "pickle"}}
        return {"metadata": metadata, "result": blob}

    rewrite(store, armed)
    assert not counts(store)
    assert not (tmp_path / "went-off").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"a": 1}'])
def test_what_is_no_record_does_not_count(store: str, kept: Candidate, content: bytes) -> None:
    UPath(f"{store}/results/{KEY}").write_bytes(content)
    assert not counts(store)


@contextmanager
def inside(store: str) -> Iterator[None]:
    """In a run whose stack keeps its store there."""

    class Stack:
        pass

    stack, settings = Stack(), Stack()
    stack.store, settings.stack = store, stack  # type: ignore[attr-defined]
    token = residency._entered.set(residency.Run(settings))  # type: ignore[arg-type]
    try:
        yield
    finally:
        residency._entered.reset(token)


def test_results_lie_in_a_store_that_others_reach_and_else_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_LOCAL_STORAGE_PATH", raising=False)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    remote = f"memory://{tmp_path}/store"
    with inside(remote):
        SharedResults().write_path("x", RECORD)
        assert UPath(f"{remote}/results/x").read_bytes() == sealed(RECORD, "x")
    with inside(str(tmp_path / "store")):
        SharedResults().write_path("x", RECORD)
    assert (tmp_path / "home/results/x").read_bytes() == sealed(RECORD, "x")
    assert [path.name for path in (tmp_path / "home/results").iterdir()] == ["x"], "no scraps"


def test_sent_to_another_process_results_stay_those_of_the_run(tmp_path: Path) -> None:
    remote = f"memory://{tmp_path}/store"
    with inside(remote):
        sent = pickle.dumps(SharedResults())
    arrived = pickle.loads(sent)
    arrived.write_path("x", RECORD)
    assert UPath(f"{remote}/results/x").read_bytes() == sealed(RECORD, "x")


def test_a_step_keeps_its_results_there_with_other_options_too() -> None:
    for step in (fit, fit.with_options(retries=2), fit.with_options(retries=2).with_options()):
        assert isinstance(step.result_storage, SharedResults)
    assert fit.with_options(retries=2).retries == 2


INPUTS = """
from mlops_tasks.artifacts import Code, Columns, Dataset, Split
from mlops_tasks.encoding import digest
from mlops_tasks.settings import ModelSettings

rows = Dataset("{uri}", "d" * 64, 5, ("a", "b"), ("eu", "us"), "rev")
split = Split(rows, rows, Columns(("id",), "y", ("a",), ("b",)), "time")
model = ModelSettings(name="forest", params={{"trees": 100, "rate": 0.1, "deep": None}})
print(digest(["fit", "library", {{"split": split, "model": model, "seed": 7}}]))
"""
GOLDEN = "e8c2db030b06df78166e1c2af9bce7f0fc997247a5c0f59614ef050e15bb60de"


@pytest.mark.parametrize("uri", ["/home/ada/store/x.parquet", "s3://team/store/x.parquet"])
@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_a_key_is_the_same_in_every_process_and_place(uri: str, seed: str) -> None:
    words = [sys.executable, "-c", INPUTS.format(uri=uri)]
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == GOLDEN


def test_a_key_changes_with_what_decides_and_not_with_the_place() -> None:
    class Context:
        task = fit

    def key(**inputs: object) -> str | None:
        return ByContent().compute_key(Context(), inputs, {})  # type: ignore[arg-type]

    one = Dataset("s3://a/x", "d" * 64, 5, ("a",), ("eu",))
    model = ModelSettings(name="forest")
    first = key(split=one, model=model, seed=1, store="s3://a", root="/a")
    assert first == key(split=replace(one, uri="/b/x"), model=model, seed=1, store="/b", root="/b")
    assert first != key(split=one, model=model, seed=2, store="s3://a", root="/a")
    assert first != key(split=replace(one, digest="e" * 64), model=model, seed=1, store="s3://a")
    assert first != digest([])
