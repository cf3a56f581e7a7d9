"""The training of a generated project as a ZenML pipeline: the same steps around the same work.

Each step calls the function that the flow `train` has there. What travels between steps is our
JSON (`encoding.encode`), so ZenML keeps a short text per step and never the data. Runs in an
environment of its own, see `first_life.py`; to its advantage, ZenML keeps no logs and collects no
metadata of artifacts.

Usage: python benchmarks/zenml_pipeline.py PROJECT_FOLDER [HYDRA_OVERRIDE ...]
"""

import sys
from pathlib import Path

from zenml import pipeline, step

from mlops_tasks.data import contracts, splits, versions
from mlops_tasks.encoding import decode, encode
from mlops_tasks.evaluation import comparison as comparing
from mlops_tasks.evaluation import evaluate as evaluation_room
from mlops_tasks.evaluation import gate as gate_room
from mlops_tasks.project.locate import locate
from mlops_tasks.references import code
from mlops_tasks.registry import client, proposals, release
from mlops_tasks.registry import lineage as lineage_room
from mlops_tasks.registry import register as registration
from mlops_tasks.settings import ModelSettings, Settings
from mlops_tasks.settings.compose import compose
from mlops_tasks.training import baselines
from mlops_tasks.training import fit as training


def settings_from(config: str) -> Settings:
    return Settings.model_validate_json(config)


def text(artifact: object) -> str:
    return encode(artifact).decode()


@step
def snapshot(root: str, config: str) -> str:
    settings = settings_from(config)
    data, store = settings.data, settings.stack.store
    return text(versions.snapshot(root, data.path, store=store, residency=settings.residency))


@step
def validate(raw: str, package: str, config: str) -> str:
    settings = settings_from(config)
    contract = code(f"{package}.schema:Flights")
    store = settings.stack.store
    return text(contracts.validate(decode(raw), contract, settings.data, store=store))


@step
def split(rows: str, package: str, config: str) -> str:
    settings = settings_from(config)
    contract = code(f"{package}.schema:Flights")
    seed, store = settings.seed, settings.stack.store
    return text(splits.split(decode(rows), contract, settings.data, seed, store=store))


@step
def fit(parts: str, package: str, config: str) -> str:
    settings = settings_from(config)
    table = code(f"{package}.model:MODELS")
    seed, store = settings.seed, settings.stack.store
    return text(training.fit(decode(parts), table, settings.model, seed, store=store))


@step
def fit_baseline(parts: str, name: str, config: str) -> str:
    settings = settings_from(config)
    table, model = code(baselines.REFERENCE), ModelSettings(name=name)
    seed, store = settings.seed, settings.stack.store
    return text(training.fit(decode(parts), table, model, seed, store=store))


@step
def evaluate(candidate: str, parts: str, config: str) -> str:
    settings = settings_from(config)
    rows, store = decode(parts).comparison, settings.stack.store
    return text(evaluation_room.evaluate(decode(candidate), rows, settings.evaluation, store=store))


@step
def champion(config: str) -> str:
    settings = settings_from(config)
    return text(release.current_champion(settings.stack, settings.registered_model))


@step
def compare(
    candidate: str,
    evaluation: str,
    trivial: str,
    linear: str,
    incumbent: str,
    parts: str,
    config: str,
) -> str:
    settings = settings_from(config)
    rivals = {"trivial": decode(trivial), "linear": decode(linear)}
    holder = decode(incumbent)
    if holder and holder.candidate != decode(candidate):
        rivals["champion"] = holder.candidate
    rows = decode(parts).comparison
    return text(
        comparing.compare(decode(evaluation), rivals, rows, settings.evaluation, settings.seed)
    )


@step
def gate(candidate: str, evaluation: str, comparisons: str, incumbent: str, config: str) -> str:
    holder = decode(incumbent)
    decision = gate_room.judge(
        decode(candidate),
        decode(evaluation),
        decode(comparisons),
        settings_from(config).policy,
        champion_digest=holder.candidate.digest if holder else None,
    )
    return text(decision)


@step
def lineage(root: str, raw: str, package: str, config: str) -> str:
    table = code(f"{package}.model:MODELS")
    return text(lineage_room.trace(root, settings_from(config), decode(raw), table))


@step
def register(
    candidate: str,
    evaluation: str,
    comparisons: str,
    decision: str,
    origin: str,
    config: str,
    overrides: list[str],
) -> str:
    known = [decode(each) for each in (candidate, evaluation, comparisons, decision, origin)]
    return text(registration.register(settings_from(config), *known, overrides))


@step
def propose(registered: str, root: str, config: str) -> str:
    return text(proposals.propose(root, settings_from(config), decode(registered)))


@pipeline(
    enable_cache=False,
    enable_artifact_metadata=False,
    enable_step_logs=False,
    enable_pipeline_logs=False,
)
def train(root: str, package: str, config: str, overrides: list[str]) -> None:
    raw = snapshot(root, config)
    rows = validate(raw, package, config)
    parts = split(rows, package, config)
    candidate = fit(parts, package, config)
    evaluation = evaluate(candidate, parts, config)
    trivial = fit_baseline(parts, "trivial", config)
    linear = fit_baseline(parts, "linear", config)
    incumbent = champion(config)
    comparisons = compare(candidate, evaluation, trivial, linear, incumbent, parts, config)
    decision = gate(candidate, evaluation, comparisons, incumbent, config)
    origin = lineage(root, raw, package, config)
    known = register(candidate, evaluation, comparisons, decision, origin, config, overrides)
    propose(known, root, config)


def main() -> None:
    project, overrides = locate(Path(sys.argv[1])), sys.argv[2:]
    sys.path.insert(0, str(project.root / "src"))
    settings = compose(project.root, overrides)
    client.reach(settings.stack)
    train(str(project.root), project.package, settings.model_dump_json(), overrides)


if __name__ == "__main__":
    main()
