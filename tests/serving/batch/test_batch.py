"""Every row once, in bounded memory, and the same bytes however often the run was killed."""

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pyarrow.parquet import ParquetFile
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import DecisionTreeClassifier

from mlops_tasks.artifacts import Champion, Columns, Dataset, Split
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.errors import AlteredObject, DataError, StorageError
from mlops_tasks.references import code
from mlops_tasks.serving import batch
from mlops_tasks.serving.batch import score_batch
from mlops_tasks.settings import ModelSettings
from mlops_tasks.training.fit import fit
from mlops_tasks.training.model_files import read_model
from tests.serving.prediction_log.servers import FORKS

COLUMNS = Columns(("id",), "late", tuple(f"x{n}" for n in range(10)), ())
EU = ("eu",)


def tree(columns: Columns, seed: int) -> Pipeline:
    return make_pipeline(DecisionTreeClassifier(min_samples_leaf=20, random_state=seed))


class Speechless(DecisionTreeClassifier):
    """Has no score where x0 is above 2."""

    def predict_proba(self, frame: Any, check_input: bool = True) -> Any:
        found = super().predict_proba(frame, check_input)
        found[np.asarray(frame)[:, 0] > 2] = np.nan
        return found


MODELS = {"tree": tree}


def rows_of(count: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    frame = pl.DataFrame({name: random.normal(size=count) for name in COLUMNS.features})
    late = (frame["x0"] + random.normal(size=count) > 0.5).cast(pl.Int64)
    return frame.with_columns(id=pl.arange(0, count, eager=True), late=late)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Champion:
    store = str(tmp_path_factory.mktemp("model"))
    train = write_frame(rows_of(2000), store, regions=("eu", "us"))
    table = code(f"{__name__}:MODELS")
    split = Split(train, train, COLUMNS, "random")
    return Champion(3, "run", fit(split, table, ModelSettings(name="tree"), 1, store=store))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PART_ROWS", 1000)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 4321])
@pytest.mark.parametrize("group", [None, 300, 1700])
def test_every_row_once_in_order_as_the_model_says(
    champion: Champion, tmp_path: Path, count: int, group: int | None
) -> None:
    frame = rows_of(count, seed=count)
    rows = dataset(frame, tmp_path, group)
    found = score_batch(champion, rows, store=str(tmp_path / "store"))
    model = read_model(champion.candidate.model_uri, champion.candidate.digest)
    scores = model.predict_proba(frame.select(COLUMNS.features))[:, 1]
    expected = frame.select("id", "late").with_columns(
        score=pl.Series(scores),
        prediction=pl.Series((scores >= 0.5).astype(np.int64)),
        model_version=pl.lit(3, pl.Int64),
        model_digest=pl.lit(champion.candidate.digest),
    )
    assert read_frame(found).equals(expected)
    assert read_frame(found).schema == expected.schema
    assert (found.rows, found.columns) == (count, tuple(expected.columns))
    assert (found.regions, found.dvc_rev) == (EU, "abc")
    assert not list((tmp_path / "store").rglob("scoring/*")), "nothing else is left"


def test_a_row_without_a_score_is_no_prediction(champion: Champion) -> None:
    """It is named: what is not a number would be larger than any threshold."""
    frame = rows_of(3000)
    model = Speechless().fit(frame.select(COLUMNS.features).to_numpy(), frame["late"])
    first = frame.filter(pl.col("x0") > 2)["id"][0]
    with pytest.raises(DataError, match=f"no score for a row(?s:.)*id {first}"):
        batch._scored(model, frame, champion)


def dataset(frame: pl.DataFrame, folder: Path, group: int | None = None) -> Dataset:
    kept = write_frame(frame, str(folder / "rows"), regions=EU, dvc_rev="abc")
    if group is None:
        return kept
    file = folder / "grouped.parquet"
    frame.write_parquet(file, row_group_size=group)
    from mlops_tasks.storage import adopt

    uri, digest, _ = adopt(str(folder / "rows"), file)
    return Dataset(uri, digest, frame.height, tuple(frame.columns), EU, "abc")


@pytest.mark.usefixtures("small_parts")
def test_each_row_group_tells_version_and_digest(champion: Champion, tmp_path: Path) -> None:
    found = score_batch(champion, dataset(rows_of(2500), tmp_path), store=str(tmp_path))
    file = ParquetFile(found.uri)
    assert [file.metadata.row_group(n).num_rows for n in range(3)] == [1000, 1000, 500]
    told = {"model_version": 3, "model_digest": champion.candidate.digest}
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        for name, value in told.items():
            (column,) = (each for each in columns if each.path_in_schema == name)
            assert (column.statistics.min, column.statistics.max) == (value, value)
            assert column.statistics.null_count == 0
    said = {name.encode(): str(value).encode() for name, value in told.items()}
    assert said.items() <= file.metadata.metadata.items()


def test_types_that_only_polars_has_survive(champion: Champion, tmp_path: Path) -> None:
    kinds = pl.Enum(["b", "a"])
    names = pl.Series("id", ["a", "b"] * 50, dtype=kinds)
    rows = dataset(rows_of(100).with_columns(names), tmp_path)
    found = read_frame(score_batch(champion, rows, store=str(tmp_path)))
    assert found["id"].dtype == kinds
    assert found["id"].equals(names)


def test_rows_without_labels_are_scored(champion: Champion, tmp_path: Path) -> None:
    rows = dataset(rows_of(50).drop("late"), tmp_path)
    found = read_frame(score_batch(champion, rows, store=str(tmp_path)))
    assert found.columns == ["id", "score", "prediction", "model_version", "model_digest"]


def test_what_cannot_be_scored_is_refused(champion: Champion, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'x3'"):
        score_batch(champion, dataset(rows_of(5).drop("x3"), tmp_path), store=str(tmp_path))
    with pytest.raises(DataError, match="no rows"):
        score_batch(champion, dataset(rows_of(5)[:0], tmp_path), store=str(tmp_path))
    rows = dataset(rows_of(5), tmp_path)
    Path(rows.uri).write_bytes(b"altered")
    with pytest.raises(AlteredObject):
        score_batch(champion, rows, store=str(tmp_path))


@pytest.mark.usefixtures("small_parts")
def test_of_altered_rows_nothing_is_kept(
    champion: Champion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, store = dataset(rows_of(5000), tmp_path), tmp_path / "store"
    rows_of(5000, seed=1).write_parquet(rows.uri)  # readable, and not what was promised
    real, scored = batch.fetch_unverified, []

    @contextlib.contextmanager
    def late(uri: str, digest: str) -> Iterator[tuple[Path, Callable[[], None]]]:
        with real(uri, digest) as (path, verify):

            def when_all_are_waiting() -> None:
                while len(scored) < 2:
                    time.sleep(0.01)
                verify()

            yield path, when_all_are_waiting

    monkeypatch.setattr(batch, "fetch_unverified", late)
    made = batch.scores_of
    monkeypatch.setattr(batch, "scores_of", lambda *words: scored.append(1) or made(*words))
    with pytest.raises(AlteredObject):
        score_batch(champion, rows, store=str(store))
    assert len(scored) >= 2
    assert list(store.rglob("*.arrow")) == []
    assert list(store.rglob("*.parquet")) == []


@pytest.mark.usefixtures("small_parts")
def test_a_join_that_fails_leaves_no_thread_behind(
    champion: Champion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError("no space")

    rows = dataset(rows_of(20_000), tmp_path)
    monkeypatch.setattr(batch, "_read", failing)
    before = set(threading.enumerate())
    with pytest.raises(StorageError, match="no space") as kept:
        score_batch(champion, rows, store=str(tmp_path / "store"))
    assert set(threading.enumerate()) == before, f"as long as somebody keeps {kept.value!r}"


def scoring(champion: Champion, rows: Dataset, store: str) -> None:
    batch.PART_ROWS = 1000
    real = batch.put

    def slow(*words: object, **named: object) -> object:
        time.sleep(0.02)
        return real(*words, **named)

    batch.put = slow
    score_batch(champion, rows, store=store)


def finished(store: Path) -> list[Path]:
    found = store.glob(f"scoring/*/*/*/*{batch.PART}")
    return sorted(path for path in found if path.parent.name != "incoming")


@pytest.mark.usefixtures("small_parts")
def test_after_kills_the_result_is_the_same_and_no_part_is_scored_twice(
    champion: Champion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, store = dataset(rows_of(20_500), tmp_path), tmp_path / "killed"
    undisturbed = score_batch(champion, rows, store=str(tmp_path / "undisturbed"))
    for parts in (3, 8, 14):
        process = FORKS.Process(target=scoring, args=(champion, rows, str(store)))
        process.start()
        while len(finished(store)) < parts:
            assert process.is_alive()
            time.sleep(0.005)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    done = finished(store)
    assert 14 <= len(done) < 21
    os.truncate(done[2], 100)  # as a disk does that lost its power
    scored = []
    real = batch.scores_of
    monkeypatch.setattr(batch, "scores_of", lambda *words: scored.append(1) or real(*words))
    found = score_batch(champion, rows, store=str(store))
    assert len(scored) == 21 - len(done) + 1
    assert found == undisturbed
    assert Path(found.uri).read_bytes() == Path(undisturbed.uri).read_bytes()
    assert read_frame(found)["id"].to_list() == list(range(20_500))
    assert finished(store) == []


@pytest.mark.usefixtures("small_parts")
def test_parts_of_another_version_or_other_rows_are_not_used(
    champion: Champion, tmp_path: Path
) -> None:
    one, other = rows_of(10), rows_of(10, seed=1)
    inputs = [
        batch._work_folder(who, dataset(frame, tmp_path), "s")
        for frame in (one, other)
        for who in (champion, Champion(4, "run", champion.candidate))
    ]
    assert len(set(inputs)) == 4


def peak_mib(champion: Champion, rows: Dataset, store: str, tell: object) -> None:
    score_batch(champion, rows, store=store)
    tell.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(champion: Champion, tmp_path: Path) -> None:
    peaks = []
    for count in (200_000, 2_000_000):
        rows = dataset(rows_of(count), tmp_path)
        ours, theirs = FORKS.Pipe(duplex=False)
        process = FORKS.Process(target=peak_mib, args=(champion, rows, str(tmp_path), theirs))
        process.start()
        theirs.close()
        peaks.append(ours.recv())
        process.join()
    # The rows alone are 183 MiB, and scoring them at once takes twice that.
    print(peaks)
    assert peaks[1] < peaks[0] + 100, peaks
