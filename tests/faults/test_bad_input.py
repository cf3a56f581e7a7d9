"""Bad data, bad configuration, unreachable stores: one clear error, and nothing half-written.

Each test types the command that a person would, in a copy of a generated project.
"""

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Generated

pytestmark = pytest.mark.slow
DATA = "data/flights.parquet"


@pytest.fixture
def spoiled(project: Generated, tmp_path: Path) -> Generated:
    return project.copy(tmp_path)


def versions(project: Generated, table: str = "model_versions") -> int:
    """Rows in the registry; 0 where there is no store."""
    database = Path(project.environment["MLOPS_HOME"]) / "mlflow.db"
    if not database.exists():
        return 0
    with sqlite3.connect(database) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])


def refused(project: Generated, *words: str, seconds: int = 120) -> str:
    """Train; the one error message, after checking that it is one and that nothing is left."""
    done = project.run("mlops", "train", *words, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("✗") == 1
    message = done.stderr.partition("✗")[2].strip()
    assert "\n\n" not in message, "one paragraph, and nothing after it"
    assert message.count("where:") == message.count("next:") == 1
    assert len(message) < 4000
    assert done.stdout == ""
    assert versions(project) == versions(project, "runs") == 0
    store = Path(project.environment["MLOPS_HOME"]) / "store" / "incoming"
    assert not store.exists() or not list(store.iterdir())
    return message


def rewrite(project: Generated, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    path = project.root / DATA
    frame = change(pl.read_parquet(path))
    path.unlink()  # the file in the workspace may be a link into DVC's cache
    frame.write_parquet(path)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("modle=linear", ["modle", "'linear'", "did you mean 'model'", "config.yaml"]),
        ("model=liner", ["model/liner", "boosting", "forest", "linear", "tree"]),
        ("stacks=local", ["stacks", "did you mean 'stack'"]),
        ("data.split.comparison_fraction=1.5", ["1.5", "less than 1", "flights.yaml"]),
        ("policy.margin=-1", ["policy.margin = -1", "greater than or equal to 0", "default.yaml"]),
        ("data.split.kind=timely", ["timely", "'time', 'random', 'stratified' or 'grouped'"]),
        ("evaluation.slices=[carier]", ["carier", "carrier"]),
        ("model.params.tres=3", ["forest has no parameter 'tres'", "trees"]),
        ("data.target=delayed", ["no column 'delayed'", "late"]),
        ("data.split.kind=grouped", ["group"]),
        ("seed=one", ["seed", "'one'", "integer"]),
    ],
)
def test_configuration(spoiled: Generated, override: str, said: list[str]) -> None:
    message = refused(spoiled, override)
    for words in said:
        assert words in message


def test_a_misspelt_key_in_a_file_names_the_file(spoiled: Generated) -> None:
    file = spoiled.root / "conf" / "policy" / "default.yaml"
    file.write_text(file.read_text().replace("minimum_rows", "minimum_row"))
    message = refused(spoiled)
    assert "minimum_row = 1000: no such key (did you mean 'minimum_rows'?)" in message
    assert "default.yaml" in message


def test_a_project_that_is_none(spoiled: Generated, tmp_path: Path) -> None:
    done = spoiled.run("mlops", "train", "--project", str(tmp_path / "home"), check=False)
    assert done.returncode == 1
    assert "this is not a project" in done.stderr


FRAMES: list[tuple[str, Callable[[pl.DataFrame], pl.DataFrame], list[str]]] = [
    ("missing column", lambda f: f.drop("carrier"), ["column 'carrier' is missing"]),
    (
        "wrong type",
        lambda f: f.with_columns(pl.col("distance_miles").cast(pl.String)),
        ["'distance_miles' is String, should be Float64"],
    ),
    (
        "bad rows",
        lambda f: f.with_columns(
            pl.when(pl.int_range(pl.len()) % 100 == 7)
            .then(-1.0)
            .otherwise("distance_miles")
            .alias("distance_miles")
        ),
        [
            "125 of 12480 rows (1.00%)",
            "distance_miles|min_exclusive (125)",
            "row 7: distance_miles = -1.0 breaks min_exclusive",
            "and 115 more",
            "data.max_bad_fraction",
        ],
    ),
    (
        "no target",
        lambda f: f.with_columns(late=pl.lit(None, pl.Int64)),
        ["late|nullability (12480)"],
    ),
    ("single class", lambda f: f.with_columns(late=pl.lit(0, pl.Int64)), ["single class: 0"]),
    ("duplicate keys", lambda f: pl.concat([f, f.head(3)]), ["primary_key (6)"]),
    (
        "rows from the future",
        lambda f: f.with_columns(
            pl.when(pl.int_range(pl.len()) == 5)
            .then(pl.datetime(2999, 1, 1, 5))
            .otherwise("scheduled_departure")
            .alias("scheduled_departure")
        ),
        ["scheduled_departure|from the future (1)"],
    ),
    ("no rows", lambda f: f.clear(), ["has no rows"]),
]


@pytest.mark.parametrize(("change", "said"), [f[1:] for f in FRAMES], ids=[f[0] for f in FRAMES])
def test_data(
    spoiled: Generated, change: Callable[[pl.DataFrame], pl.DataFrame], said: list[str]
) -> None:
    rewrite(spoiled, change)
    message = refused(spoiled)
    for words in said:
        assert words in message


def test_bad_rows_below_the_tolerance_are_put_aside(spoiled: Generated) -> None:
    rewrite(
        spoiled,
        lambda f: f.with_columns(
            pl.when(pl.int_range(pl.len()) == 9)
            .then(-1.0)
            .otherwise("distance_miles")
            .alias("distance_miles")
        ),
    )
    spoiled.run("mlops", "train", "model=linear", "data.max_bad_fraction=0.01")
    assert versions(spoiled) == 1


def test_an_empty_file(spoiled: Generated) -> None:
    path = spoiled.root / DATA
    path.unlink()
    path.touch()
    assert "empty (0 bytes)" in refused(spoiled)


def test_a_file_that_is_not_parquet(spoiled: Generated) -> None:
    path = spoiled.root / DATA
    path.unlink()
    path.write_text("flight_id,late\n1,0\n")
    assert "not readable as parquet" in refused(spoiled)


def without_data(project: Generated, remote: str) -> None:
    (project.root / DATA).unlink()
    shutil.rmtree(project.root / ".dvc" / "cache")
    config = project.root / ".dvc" / "config"
    lines = [
        f"    url = {remote}" if "url = " in line else line
        for line in config.read_text().splitlines()
    ]
    config.write_text("\n".join(lines) + "\n")


def test_missing_data_comes_back_from_the_remote(project: Generated, tmp_path: Path) -> None:
    spoiled = project.copy(tmp_path)
    (spoiled.root / DATA).unlink()
    shutil.rmtree(spoiled.root / ".dvc" / "cache")
    spoiled.run("mlops", "train", "model=linear")
    assert (spoiled.root / DATA).is_file()


@pytest.mark.parametrize("remote", ["/nowhere/at/all", "http://127.0.0.1:9/data"])
def test_an_unreachable_data_remote(spoiled: Generated, remote: str) -> None:
    without_data(spoiled, remote)
    message = refused(spoiled)
    assert "remote" in message
    assert remote in message


def test_data_that_dvc_does_not_know(spoiled: Generated) -> None:
    message = refused(spoiled, "data.path=data/other.parquet")
    assert "other.parquet" in message
    assert "dvc add data/other.parquet" in message


def test_changed_data_is_a_new_version_before_it_is_trained_on(spoiled: Generated) -> None:
    before = (spoiled.root / f"{DATA}.dvc").read_text()
    rewrite(spoiled, lambda f: f.head(20_000))
    spoiled.run("mlops", "train", "model=linear")
    after = (spoiled.root / f"{DATA}.dvc").read_text()
    assert before != after
    md5 = after.partition("md5: ")[2].split()[0]
    (spoiled.root / DATA).unlink()
    shutil.rmtree(spoiled.root / ".dvc" / "cache")
    spoiled.run("dvc", "pull", "-q")
    assert pl.read_parquet(spoiled.root / DATA).height == 20_000
    assert len(md5) == 32


def test_an_unreachable_tracking_server_is_said_before_any_work(spoiled: Generated) -> None:
    places = "policy.residency.public.uri_prefixes=[$MLOPS_HOME,'http://127.0.0.1:9']"
    message = refused(spoiled, "stack.tracking_uri=http://127.0.0.1:9", places)
    assert "http://127.0.0.1:9" in message
    assert "refuses or does not answer" in message
    assert not (Path(spoiled.environment["MLOPS_HOME"]) / "store").exists()


def test_an_unreachable_prefect_server(spoiled: Generated) -> None:
    nobody = "http://127.0.0.1:9/api"
    spoiled = replace(spoiled, environment=spoiled.environment | {"PREFECT_API_URL": nobody})
    message = refused(spoiled)
    assert "no Prefect server answers" in message
    assert nobody in message
    assert "unset PREFECT_API_URL" in message
