"""Fitting is repeatable to the bit, and a model file is never more than what was fitted."""

import os
import subprocess
import sys
import textwrap
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from mlops_tasks.artifacts import Candidate, Code, Columns, Dataset, Split
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.data.splits import split
from mlops_tasks.encoding import encode
from mlops_tasks.errors import AlteredObject, ProjectError, StorageError, TrainingError
from mlops_tasks.references import code
from mlops_tasks.settings import DataSettings, ModelSettings
from mlops_tasks.storage import file_digest
from mlops_tasks.training.baselines import REFERENCE
from mlops_tasks.training.fit import SCORE, build, fit, scores_of
from mlops_tasks.training.model_files import TRUSTED, canonical_skops, read_model, write_model

BASELINES = code(REFERENCE)


class Flights(dy.Schema):
    id = dy.Int64(primary_key=True)
    when = dy.Datetime(nullable=False)
    miles = dy.Float64(nullable=True)
    hour = dy.Int64()
    carrier = dy.String()
    late = dy.Int64(nullable=False)


def rows(number: int = 600) -> pl.DataFrame:
    generator = np.random.default_rng(5)
    miles = generator.uniform(0, 2_000, number)
    carrier = generator.choice(["AA", "B6", "UA", "DL"], number)
    chance = 0.2 + 0.3 * (miles > 1_000) + 0.3 * (carrier == "B6")
    return pl.DataFrame(
        {
            "id": np.arange(number),
            "when": [datetime(2013, 1, 1) + timedelta(minutes=n) for n in range(number)],
            "miles": miles,
            "hour": generator.integers(0, 24, number),
            "carrier": carrier,
            "late": (generator.uniform(size=number) < chance).astype(int),
        }
    )


SETTINGS = DataSettings(path="rows", target="late", time="when", regions=("local",))


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Split:
    place = str(tmp_path_factory.mktemp("data"))
    raw = write_frame(rows(), place, regions=("north",), dvc_rev="5" * 32)
    return split(raw, Code(f"{__name__}:Flights", "d" * 64), SETTINGS, 1, store=place)


def encoded(columns: Columns, model: BaseEstimator) -> BaseEstimator:
    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = ColumnTransformer(
        [
            ("numeric", "passthrough", list(columns.numeric)),
            ("categorical", categories, list(columns.categorical)),
        ]
    )
    return make_pipeline(encode, model)


class Own(LogisticRegression):
    """A type that nobody has reviewed."""


class Guess(ClassifierMixin, BaseEstimator):
    """Leans on numpy's global generator, as it should not."""

    def fit(self, X: pl.DataFrame, y: pl.Series) -> "Guess":
        self.classes_ = np.array([0, 1])
        self.guess_ = np.random.random(3)
        return self


def forest(columns: Columns, seed: int, *, trees: int = 7) -> BaseEstimator:
    return encoded(columns, RandomForestClassifier(trees, n_jobs=2, random_state=seed))


def boosting(columns: Columns, seed: int) -> BaseEstimator:
    return encoded(columns, HistGradientBoostingClassifier(max_iter=4, random_state=seed))


def tree(columns: Columns, seed: int) -> BaseEstimator:
    return encoded(columns, DecisionTreeClassifier(max_depth=4, random_state=seed))


def gradient(columns: Columns, seed: int) -> BaseEstimator:
    return encoded(columns, GradientBoostingClassifier(n_estimators=5, random_state=seed))


def extra(columns: Columns, seed: int) -> BaseEstimator:
    return encoded(columns, ExtraTreesClassifier(5, random_state=seed))


def vector(columns: Columns, seed: int) -> BaseEstimator:
    return encoded(columns, SVC(probability=True, random_state=seed))


def secret(columns: Columns, seed: int) -> BaseEstimator:
    function = FunctionTransformer(lambda frame: frame)
    return make_pipeline(function, encoded(columns, LogisticRegression(max_iter=300)))


def own(columns: Columns, seed: int) -> BaseEstimator:
    return encoded(columns, Own(max_iter=300))


def guess(columns: Columns, seed: int) -> BaseEstimator:
    return Guess()


def unable(columns: Columns, seed: int) -> BaseEstimator:
    return LogisticRegression()  # cannot take words


MODELS = {
    "forest": forest,
    "boosting": boosting,
    "tree": tree,
    "gradient": gradient,
    "extra": extra,
    "vector": vector,
    "secret": secret,
    "own": own,
    "guess": guess,
    "unable": unable,
}
CODE = Code(f"{__name__}:MODELS", "d" * 64)
LOADABLE = ["forest", "boosting", "tree", "gradient", "extra"]


def named(name: str, **params: Any) -> ModelSettings:
    return ModelSettings(name=name, params=params)


def scored(candidate: Candidate, rows: Dataset) -> pl.DataFrame:
    model = read_model(candidate.model_uri, candidate.digest)
    return scores_of(model, read_frame(rows), candidate.columns)


def files(store: str) -> list[Path]:
    return [path for path in Path(store).rglob("*") if path.is_file()]


def test_a_candidate_says_what_it_is(parts: Split, store: str) -> None:
    candidate = fit(parts, CODE, named("forest", trees=3), 7, store=store)
    assert (candidate.name, candidate.params, candidate.seed) == ("forest", {"trees": 3}, 7)
    assert (candidate.train, candidate.columns) == (parts.train, parts.columns)
    assert candidate.code == CODE
    assert files(store) == [Path(candidate.model_uri)]
    assert candidate.size_bytes == Path(candidate.model_uri).stat().st_size
    assert candidate.fit_seconds > 0
    loaded = read_model(candidate.model_uri, candidate.digest)
    assert len(loaded[-1].estimators_) == 3
    assert loaded[-1].random_state == 7
    assert loaded[-1].n_jobs == 1, "threads add up votes in any order"


SUBPROCESS = """
    import sys
    import numpy as np
    from mlops_tasks.artifacts import Code
    from mlops_tasks.encoding import decode
    from mlops_tasks.settings import ModelSettings
    from mlops_tasks.training.fit import fit
    from test_fit import scored

    np.random.seed(int(sys.argv[1]))
    split, store = decode(sys.stdin.buffer.read()), sys.argv[2]
    for reference, names in (
        ("mlops_tasks.training.baselines:MODELS", ("trivial", "linear")),
        ("test_fit:MODELS", ("forest", "boosting", "tree")),
    ):
        for name in names:
            model = ModelSettings(name=name)
            candidate = fit(split, Code(reference, ""), model, 11, store=store)
            print(name, candidate.digest, scored(candidate, split.comparison).hash_rows().sum())
"""


@pytest.mark.slow
def test_fresh_processes_make_the_same_models_and_scores(parts: Split, tmp_path: Path) -> None:
    def start(number: int) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "PYTHONHASHSEED": str(number),
            "PYTHONPATH": str(Path(__file__).parent),
            "OMP_NUM_THREADS": str(number),
        }
        command = [sys.executable, "-c", textwrap.dedent(SUBPROCESS), str(number)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*command, str(tmp_path / str(number))], env=environment, **pipes)

    found = []
    for process in [start(1), start(2)]:
        out, said = process.communicate(encode(parts))
        assert not process.returncode, said.decode()
        found.append(out.decode().splitlines())
    assert found[0] == found[1]
    assert len({line.split()[1] for line in found[0]}) == 5


def test_another_seed_data_or_parameter_is_another_model(parts: Split, store: str) -> None:
    def digest(seed: int = 1, **params: Any) -> str:
        return fit(parts, CODE, named("forest", **params), seed, store=store).digest

    assert digest() == digest() == digest(trees=7)
    assert len({digest(), digest(2), digest(trees=8)}) == 3


def test_the_global_generator_is_seeded_too(parts: Split) -> None:
    draws = []
    for seed in (3, 3, 4):
        with pytest.raises(TrainingError, match="not trusted"):
            fit(parts, CODE, named("guess"), seed, store="memory://never")
        draws.append(np.random.random())
    assert draws[0] == draws[1] != draws[2]


def test_an_unknown_model(parts: Split, store: str) -> None:
    with pytest.raises(TrainingError, match="there is no model 'forrest'") as caught:
        fit(parts, CODE, named("forrest"), 1, store=store)
    assert caught.value.next_step == f"choose from {', '.join(MODELS)}"
    assert CODE.reference in caught.value.where


def test_an_unknown_parameter(parts: Split, store: str) -> None:
    with pytest.raises(TrainingError, match="forest has no parameter 'tree'") as caught:
        fit(parts, CODE, named("forest", trees=3, tree=3), 1, store=store)
    assert caught.value.next_step == "choose from trees"
    with pytest.raises(TrainingError, match="tree has no parameter 'columns'") as caught:
        fit(parts, CODE, named("tree", columns=3), 1, store=store)
    assert caught.value.next_step == "choose from none: it takes no parameters"
    assert not files(store)


def test_unknown_code(parts: Split, store: str) -> None:
    with pytest.raises(ProjectError, match="AttributeError"):
        fit(parts, Code(f"{__name__}:MODEL", ""), named("forest"), 1, store=store)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [("unable", {}, "could not convert string"), ("forest", {"trees": "many"}, "n_estimators")],
)
def test_what_cannot_be_fitted(
    parts: Split, store: str, name: str, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(TrainingError, match=f"{name} cannot be fitted") as caught:
        fit(parts, CODE, named(name, **params), 1, store=store)
    assert said in caught.value.what
    assert "model.params" in caught.value.next_step
    assert not files(store)


@pytest.mark.parametrize(
    ("name", "kind"), [("secret", "<lambda>"), ("own", f"{__name__}.Own"), ("guess", "Guess")]
)
def test_a_model_that_would_need_new_trust_is_refused_and_not_kept(
    parts: Split, store: str, name: str, kind: str
) -> None:
    with pytest.raises(TrainingError, match="not trusted for loading") as caught:
        fit(parts, CODE, named(name), 1, store=store)
    assert kind in caught.value.what
    assert "TRUSTED" in caught.value.where
    assert not files(store)


def test_trust_is_not_asked_for_by_a_type_of_the_same_name(tmp_path: Path) -> None:
    """What is written can be read with `TRUSTED` alone, and nothing else can."""
    model = Own().fit([[0.0], [1.0]], [0, 1])
    file = tmp_path / "own.skops"
    file.write_bytes(canonical_skops(skops.io.dumps(model)))
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException, match="Own"):
        read_model(str(file), file_digest(file))


@pytest.mark.parametrize("position", [0.0, 0.3, 0.6, 0.999])
def test_one_bit_more_or_less_and_the_model_is_not_loaded(
    parts: Split, store: str, position: float
) -> None:
    candidate = fit(parts, CODE, named("tree"), 1, store=store)
    file = Path(candidate.model_uri)
    data = bytearray(file.read_bytes())
    data[int(position * len(data))] ^= 1
    file.write_bytes(data)
    with pytest.raises(AlteredObject, match=candidate.digest[:12]):
        read_model(candidate.model_uri, candidate.digest)


def test_a_model_that_is_gone(parts: Split, store: str) -> None:
    candidate = fit(parts, CODE, named("tree"), 1, store=store)
    Path(candidate.model_uri).unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        read_model(candidate.model_uri, candidate.digest)


def fitted(parts: Split, name: str) -> tuple[BaseEstimator, pl.DataFrame]:
    code = BASELINES if name in ("linear", "trivial") else CODE
    model = build(code, named(name), parts.columns, 3)
    train = read_frame(parts.train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train.select(parts.columns.features), train["late"])
    return model, read_frame(parts.comparison).select(parts.columns.features)


@pytest.mark.parametrize("name", [*LOADABLE, "vector", "linear", "trivial"])
def test_canonical_files_are_stable_and_the_model_is_the_same(
    parts: Split, name: str, tmp_path: Path
) -> None:
    model, features = fitted(parts, name)
    once = canonical_skops(skops.io.dumps(model))
    assert canonical_skops(once) == once
    assert canonical_skops(skops.io.dumps(model)) == once, "time and address are no part of it"
    write_model(model, tmp_path / "model.skops")
    assert (tmp_path / "model.skops").read_bytes() == once
    assert set(skops.io.get_untrusted_types(data=once)) <= set(TRUSTED)
    loaded = skops.io.loads(once, trusted=list(TRUSTED))
    np.testing.assert_array_equal(loaded.predict_proba(features), model.predict_proba(features))
    assert len(np.unique(model.predict_proba(features))) > 2 or name == "trivial"


def test_raw_skops_files_do_differ(parts: Split) -> None:
    """Why `canonical_skops` is there: without it, equal models are not equal bytes."""
    one, two = (skops.io.dumps(fitted(parts, "tree")[0]) for _ in range(2))
    assert one != two
    assert canonical_skops(one) == canonical_skops(two)


def test_scores_are_those_of_the_fitted_model(parts: Split, store: str) -> None:
    candidate = fit(parts, CODE, named("boosting"), 3, store=store)
    model, features = fitted(parts, "boosting")
    frame, source = scored(candidate, parts.comparison), read_frame(parts.comparison)
    assert frame.columns == ["id", "late", SCORE]
    assert frame.drop(SCORE).equals(source.select("id", "late"))
    np.testing.assert_array_equal(frame[SCORE], model.predict_proba(features)[:, 1])


def test_scoring_needs_features_only_and_in_no_order(parts: Split) -> None:
    model, _ = fitted(parts, "linear")
    source = read_frame(parts.comparison)
    whole = scores_of(model, source, parts.columns)
    turned = source.drop("late", "when").select(pl.all().reverse())
    found = scores_of(model, turned.select(reversed(turned.columns)), parts.columns)
    assert found.columns == ["id", SCORE]
    assert found.sort("id").equals(whole.drop("late").sort("id"))


def test_the_baselines(parts: Split, store: str) -> None:
    base_rate = read_frame(parts.train)["late"].mean()
    trivial = fit(parts, BASELINES, named("trivial"), 1, store=store)
    scores = scored(trivial, parts.comparison)[SCORE]
    assert scores.unique().to_list() == [pytest.approx(base_rate)]
    linear = fit(parts, BASELINES, named("linear", C=0.5), 1, store=store)
    assert read_model(linear.model_uri, linear.digest)[-1].C == 0.5
    frame = scored(linear, parts.comparison)
    means = dict(frame.group_by("late").agg(pl.col(SCORE).mean()).iter_rows())
    assert means[1] > means[0] + 0.05


def test_the_linear_baseline_takes_what_it_has_not_seen(parts: Split) -> None:
    model, _ = fitted(parts, "linear")
    odd = pl.DataFrame(
        {
            "id": [1, 2],
            "miles": [None, 1e6],
            "hour": [3, 99],
            "carrier": ["ZZ", "AA"],
        }
    )
    found = scores_of(model, odd, parts.columns)[SCORE]
    assert found.is_between(0, 1).all()
