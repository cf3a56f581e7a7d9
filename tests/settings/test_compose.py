"""A project's configuration: what is composed, and what every refusal tells the reader."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from pydantic import ValidationError

from mlops_tasks.encoding import digest
from mlops_tasks.errors import SettingsError
from mlops_tasks.settings import Settings
from mlops_tasks.settings.compose import compose, expand, options

GROUPS = (
    "data: flights; experiment: quick; model: boosting, forest, linear, tree; "
    "monitoring: default; policy: default; "
    "stack: aws, azure, gcp, kubernetes, local, team"
)


def refused(root: Path, *overrides: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        compose(root, overrides)
    assert len(str(caught.value)) < 4_000
    assert caught.value.what.strip()
    assert caught.value.where
    assert caught.value.next_step
    return caught.value


def rewrite(root: Path, name: str, old: str, new: str) -> str:
    file = root / "conf" / name
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")
    return str(file)


def test_the_template_as_it_is(root: Path) -> None:
    settings = compose(root)
    assert settings.project == "flight-delay"
    assert settings.model.name == "forest"
    assert settings.data.window.end == datetime(2013, 7, 1)
    assert settings.data.window.start is None
    assert settings.stack.tracking_uri == "sqlite:////srv/mlops home/mlflow.db"
    assert settings.stack.store == "/srv/mlops home/store"
    assert settings.policy.thresholds["roc_auc"] > 0.5
    assert settings.evaluation.confidence == 0.95, "a default that no file mentions"


def test_settings_are_frozen_plain_and_named_by_content(root: Path) -> None:
    settings = compose(root)
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 3  # type: ignore[misc]
    assert type(settings.model.params) is dict
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert digest(compose(root)) == digest(settings) != digest(compose(root, ["seed=1"]))


def test_overrides_and_groups(root: Path) -> None:
    settings = compose(
        root,
        [
            "model=boosting",
            "model.params.rounds=9",
            "data.split.comparison_fraction=0.3",
            "data.group=carrier",
            "evaluation.confidence=0.9",
            "evaluation.slices=[origin]",
            "policy.slice_floor=null",
            "policy.thresholds.recall=0.2",
        ],
    )
    assert settings.model.name == "boosting"
    assert settings.model.params["rounds"] == 9
    assert settings.model.params["leaves"] == 15
    assert settings.data.split.comparison_fraction == 0.3
    assert settings.data.group == "carrier", "no file mentions it, but the schema knows it"
    assert settings.evaluation.confidence == 0.9
    assert settings.evaluation.slices == ("origin",)
    assert settings.policy.slice_floor is None
    assert settings.policy.thresholds["recall"] == 0.2
    assert set(settings.policy.thresholds) > {"recall"}


def test_an_experiment_changes_several_groups_at_once(root: Path) -> None:
    settings = compose(root, ["experiment=quick"])
    assert settings.data.window.start == datetime(2013, 5, 1)
    assert settings.policy.minimum_rows == 500
    assert settings.evaluation.bootstrap_samples == 200
    assert compose(root, ["experiment=quick", "policy.minimum_rows=7"]).policy.minimum_rows == 7


def test_options_are_those_of_the_folders(root: Path) -> None:
    assert options(root) == {
        "data": ["flights"],
        "experiment": ["quick"],
        "model": ["boosting", "forest", "linear", "tree"],
        "monitoring": ["default"],
        "policy": ["default"],
        "stack": ["aws", "azure", "gcp", "kubernetes", "local", "team"],
    }


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert error.where == str(tmp_path / "conf" / "config.yaml")
    assert "--project" in error.next_step


@pytest.mark.parametrize(
    ("override", "said", "file"),
    [
        ("data.taget=late", "data.taget = 'late': no such key (did you mean 'target'?)", "data"),
        (
            "data.split.comparison_fractio=0.5",
            "data.split.comparison_fractio = 0.5: no such key "
            "(did you mean 'comparison_fraction'?)",
            "data",
        ),
        ("policy.margn=0.1", "policy.margn = 0.1: no such key (did you mean 'margin'?)", "policy"),
        ("sed=1", "sed = 1: no such key (did you mean 'seed'?)", ""),
        ("modle=forest", "modle = 'forest': no such key (did you mean 'model'?)", ""),
        ("zzz=1", "zzz = 1: no such key", ""),
        ("seed=-1", "seed = -1: Input should be greater than or equal to 0", ""),
        ("seed=many", "seed = 'many': Input should be a valid integer", ""),
        ("seed=4294967296", "seed = 4294967296: Input should be less than 4294967296", ""),
        (
            "data.split.comparison_fraction=1.0",
            "data.split.comparison_fraction = 1.0: Input should be less than 1",
            "data",
        ),
        ("data.split.kind=tme", "data.split.kind = 'tme': Input should be 'time', ", "data"),
        ("evaluation.primary=auc", "evaluation.primary = 'auc': Input should be 'roc_auc'", ""),
        ("policy.margin=nan", "policy.margin = nan: Input should be a finite number", "policy"),
        ("policy.thresholds.roc_auc=inf", "policy.thresholds.roc_auc = inf: Input", "policy"),
        ("project=Flight_Delay", "project = 'Flight_Delay': String should match pattern", ""),
        ("data.path=''", "data.path = '': String should have at least 1 character", "data"),
        ("~data.target", "data.target: Field required", "data"),
        ("data.window.start=soon", "data.window.start = 'soon': Input should be a valid", "data"),
        ("data.window.start=2014-01-01", "start must be before end", "data"),
        ("data.split.kind=grouped", "needs the name of the group column", "data"),
        ("data.time=null", "needs the name of the time column", "data"),
    ],
)
def test_what_the_schema_refuses(root: Path, override: str, said: str, file: str) -> None:
    error = refused(root, override)
    assert said in error.what
    files = {"data": "data/flights.yaml", "policy": "policy/default.yaml", "": "config.yaml"}
    assert str(root / "conf" / files[file]) in error.where
    assert error.where.endswith(" or an override")
    assert error.next_step.endswith(f"the groups are {GROUPS}")


def test_every_problem_is_told_at_once(root: Path) -> None:
    error = refused(root, "seed=-1", "data.taget=x", "model.name=''")
    for key in ("seed = -1", "data.taget = 'x'", "model.name = ''"):
        assert key in error.what
    for name in ("config.yaml", "data/flights.yaml", "model/forest.yaml"):
        assert str(root / "conf" / name) in error.where


@pytest.mark.parametrize(
    ("name", "old", "new", "said", "overrides"),
    [
        (
            "policy/default.yaml",
            "minimum_rows: 1000",
            "minimum_row: 1000",
            "policy.minimum_row = 1000: no such key (did you mean 'minimum_rows'?)",
            [],
        ),
        (
            "data/flights.yaml",
            "  kind: time",
            "  knd: time",
            "data.split.knd = 'time': no such key (did you mean 'kind'?)",
            [],
        ),
        ("config.yaml", "seed:", "sead:", "sead = 20130101: no such key", []),
        (
            "experiment/quick.yaml",
            "minimum_rows:",
            "minimum_row:",
            "policy.minimum_row = 500: no such key",
            ["experiment=quick"],
        ),
        (
            "experiment/quick.yaml",
            "bootstrap_samples: 200",
            "bootstrap_samples: 2",
            "evaluation.bootstrap_samples = 2: Input should be greater than or equal to 100",
            ["experiment=quick"],
        ),
        ("model/forest.yaml", "name: forest", "nam: forest", "model.name: Field required", []),
    ],
)
def test_a_mistake_in_a_file_names_that_file(
    root: Path, name: str, old: str, new: str, said: str, overrides: list[str]
) -> None:
    file = rewrite(root, name, old, new)
    error = refused(root, *overrides)
    assert said in error.what
    assert error.where == f"{file} or an override"


@pytest.mark.parametrize(
    ("override", "guess"), [("model=foresst", "forest"), ("experiment=quik", "quick")]
)
def test_an_option_that_does_not_exist(root: Path, override: str, guess: str) -> None:
    """Also where the group is optional: Hydra alone would say nothing and leave it out."""
    group, _, name = override.partition("=")
    error = refused(root, override)
    assert name in error.what
    assert f"(did you mean {guess!r}?)" in error.what
    assert str(root / "conf") in error.where
    assert all(option in str(error) for option in options(root)[group])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("experiment: null", "experiment: nope", "experiment = 'nope': no such option"),
        ("model: forest", "model: foresst", "Could not find 'model/foresst'"),
        ("policy: default", "polcy: default", "Could not find 'polcy/default'"),
    ],
)
def test_an_option_that_does_not_exist_in_the_file(
    root: Path, old: str, new: str, said: str
) -> None:
    rewrite(root, "config.yaml", old, new)
    assert said in refused(root).what


def test_options_may_be_named_as_files(root: Path) -> None:
    assert compose(root, ["model=tree.yaml"]) == compose(root, ["model=tree"])
    (root / "conf/experiment/a.b.yaml").write_text("# @package _global_\npolicy: {margin: 0.5}\n")
    assert compose(root, ["experiment=a.b"]).policy.margin == 0.5
    assert "data.taget" in refused(root, "data.taget=1", "model=tree.yaml").what


@pytest.mark.parametrize(
    "override",
    [
        "seed",
        "",
        "=1",
        "seed=1,2",
        "seed={",
        "a b=c",
        "model=",
        "model=null",
        "data=null",
        "model={a: 1}",
        "model=[forest,nope]",
        "model@other=forest",
        "group/inner=x",
        "+group/inner=x",
        "data=3",
        "+model=forest",
        "~nothing",
        "stack.store=???",
        "stack.store=${nothing}",
        "stack.store=${nothing:1}",
        "stack.store=${oc.env:MLOPS_TEST_NOT_SET}",
        "model.name=${.params}",
        "seed=${seed}",
        "data.split=time",
        "data.path=[a,b]",
        "policy.thresholds=[1]",
        "evaluation.slices=origin",
        "hydra.run.dir=x",
        "hydra/launcher=x",
        pytest.param("data.nope=" + "y" * 10_000, id="long"),
        pytest.param("data.path=" + "[" * 200, id="deep"),
    ],
)
def test_whatever_is_wrong_is_a_settings_error(root: Path, override: str) -> None:
    refused(root, override)
    assert compose(root).seed == 20130101, "and the next one is composed as if nothing had been"


def test_an_unset_environment_variable_is_named(root: Path) -> None:
    rewrite(root, "stack/local.yaml", "store: ${oc.env:MLOPS_HOME}", "store: ${oc.env:NO_SUCH_ONE}")
    error = refused(root)
    assert "NO_SUCH_ONE" in error.what
    assert "stack.store" in error.what


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model/forest.yaml", b"name: forest\nparams: {trees: [1\n"),
        ("model/forest.yaml", b"name: forest\n\tparams: 1\n"),
        ("model/forest.yaml", b"name: a\nname: b\n"),
        ("model/forest.yaml", b"name: !!python/object/apply:os.system ['exit 1']\n"),
        ("stack/local.yaml", b"a: *nothing\n"),
        ("config.yaml", b"defaults: ["),
    ],
)
def test_broken_yaml_names_file_and_line(root: Path, name: str, content: bytes) -> None:
    (root / "conf" / name).write_bytes(content)
    error = refused(root)
    assert f'"{root / "conf" / name}", line' in error.what


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model/forest.yaml", b""),
        ("model/forest.yaml", b"- a\n- b\n"),
        ("model/forest.yaml", b"just words\n"),
        ("model/forest.yaml", b"name: \xff\xfe\n"),
        ("model/forest.yaml", b"name: ${nothing\n"),
        ("model/forest.yaml", b"1: a\n"),
        ("model/forest.yaml", b"# @package elsewhere\nname: forest\n"),
        ("model/forest.yaml", b"defaults:\n  - nothing\nname: forest\n"),
        ("config.yaml", b""),
        ("config.yaml", b"- a\n"),
        ("config.yaml", b"\xff\xfe\x00"),
    ],
)
def test_files_with_anything_else_in_them(root: Path, name: str, content: bytes) -> None:
    (root / "conf" / name).write_bytes(content)
    refused(root)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `trap_package` that leaves a trace when it is imported or called."""
    trace = tmp_path / "trace"
    package = tmp_path / "lib" / "trap_package"
    (package / "model").mkdir(parents=True)
    code = f"from pathlib import Path\nPath({str(trace)!r}).touch()\ndef call(*_, **__): pass\n"
    (package / "__init__.py").write_text(code)
    (package / "model" / "trapped.yaml").write_text("name: trapped\n")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    yield trace
    sys.modules.pop("trap_package", None)


def test_the_trap_works(trap: Path) -> None:
    import trap_package  # type: ignore[import-not-found]  # noqa: F401

    assert trap.exists()


def test_nothing_named_in_the_configuration_is_run(root: Path, trap: Path) -> None:
    target = "_target_: trap_package.call"
    (root / "conf/model/forest.yaml").write_text(f"name: forest\nparams:\n  {target}\n")
    assert compose(root).model.params == {"_target_": "trap_package.call"}
    assert "_target_" in refused(root, "model._target_=trap_package.call").what
    refused(root, "hydra.searchpath=[pkg://trap_package]", "model=trapped")
    refused(root, "+hydra.searchpath=[pkg://trap_package]", "model=trapped")
    original = (root / "conf/config.yaml").read_text()
    for more in (
        "hydra:\n  searchpath: [pkg://trap_package]\n",
        f"hydra:\n  callbacks:\n    one:\n      {target}\n",
    ):
        (root / "conf/config.yaml").write_text(f"{original}\n{more}")
        assert "Hydra's own settings" in refused(root).what
        refused(root, "model=trapped")
    assert not trap.exists()


def test_hydras_global_state_is_as_it_was(root: Path, tmp_path: Path) -> None:
    assert not GlobalHydra.instance().is_initialized()
    compose(root)
    refused(root, "model=nothing")
    assert not GlobalHydra.instance().is_initialized()
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "theirs.yaml").write_text("answer: 42\n")
    with initialize_config_dir(str(tmp_path / "users"), version_base="1.3"):
        theirs = GlobalHydra.instance().hydra
        compose(root, ["model=tree"])
        refused(root, "model=nothing")
        assert GlobalHydra.instance().hydra is theirs
        assert hydra_compose("theirs").answer == 42
    assert not GlobalHydra.instance().is_initialized()


def test_eight_threads_compose_what_each_asked_for(root: Path) -> None:
    start = threading.Barrier(8)
    models = ("forest", "boosting", "linear", "tree")

    def work(number: int) -> list[tuple[str, int, str]]:
        start.wait()
        found = []
        for turn in range(3):
            model = models[(number + turn) % 4]
            if number == 7:
                refused(root, f"model={model}x")
            settings = compose(root, [f"model={model}", f"seed={number * 10 + turn}"])
            found.append((settings.model.name, settings.seed, model))
        return found

    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(work, range(8))):
            assert [seed for _, seed, _ in found] == [number * 10 + turn for turn in range(3)]
            assert all(name == model for name, _, model in found)
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], [[]]),
        (["seed=1"], [["seed=1"]]),
        (
            ["model=linear,forest", "seed=1,2"],
            [
                ["model=linear", "seed=1"],
                ["model=linear", "seed=2"],
                ["model=forest", "seed=1"],
                ["model=forest", "seed=2"],
            ],
        ),
        (["seed=range(1,4)", "model=tree"], [[f"seed={n}", "model=tree"] for n in (1, 2, 3)]),
        (["seed=choice(5,7)"], [["seed=5"], ["seed=7"]]),
        (["+x=1,2"], [["+x=1"], ["+x=2"]]),
        (["data.path='a,b'"], [["data.path='a,b'"]]),
        (["evaluation.slices=[a,b]"], [["evaluation.slices=[a,b]"]]),
        (["evaluation.slices=[a],[b,c]"], [["evaluation.slices=[a]"], ["evaluation.slices=[b,c]"]]),
        (["~experiment"], [["~experiment"]]),
    ],
)
def test_sweeps_are_expanded(overrides: list[str], expected: list[list[str]]) -> None:
    assert expand(overrides) == expected


def test_expanded_sweeps_can_be_composed(root: Path) -> None:
    runs = expand(["model=linear,tree", "seed=range(1,3)", "data.path='a b','c,d'"])
    found = [compose(root, run) for run in runs]
    assert [(one.model.name, one.seed, one.data.path) for one in found] == [
        (model, seed, path)
        for model in ("linear", "tree")
        for seed in (1, 2)
        for path in ("a b", "c,d")
    ]


@pytest.mark.parametrize("override", ["seed", "seed=1,", "", "x=interval(0,1)", "x=glob(*)", "a={"])
def test_what_cannot_be_expanded(override: str) -> None:
    with pytest.raises(SettingsError) as caught:
        expand([override])
    assert caught.value.what
    assert "mlops train -m" in caught.value.next_step
