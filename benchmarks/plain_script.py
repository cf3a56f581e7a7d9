"""The training of a generated project as a plain script: no Prefect, no command line, no cache.

Calls the very functions that the flow `train` is made of, with the same MLflow logging, so the
difference to `mlops train` is what orchestration and the command line cost.

Usage: python benchmarks/plain_script.py PROJECT_FOLDER [HYDRA_OVERRIDE ...]
"""

import sys
from pathlib import Path

from mlops_tasks.artifacts import Registration
from mlops_tasks.data.contracts import validate
from mlops_tasks.data.splits import split
from mlops_tasks.data.versions import snapshot
from mlops_tasks.evaluation.comparison import compare
from mlops_tasks.evaluation.evaluate import evaluate
from mlops_tasks.evaluation.gate import judge
from mlops_tasks.project.locate import Project, locate
from mlops_tasks.references import code
from mlops_tasks.registry.client import reach
from mlops_tasks.registry.lineage import trace
from mlops_tasks.registry.proposals import propose
from mlops_tasks.registry.register import register
from mlops_tasks.registry.release import current_champion
from mlops_tasks.settings import ModelSettings
from mlops_tasks.settings.compose import compose
from mlops_tasks.training import baselines
from mlops_tasks.training.fit import fit


def train(project: Project, overrides: list[str]) -> Registration:
    """The body of the template's flow `train`, with functions where it has tasks."""
    settings = compose(project.root, overrides)
    reach(settings.stack)
    data, seed, store = settings.data, settings.seed, settings.stack.store
    contract = code(f"{project.package}.schema:Flights")
    models = code(f"{project.package}.model:MODELS")

    raw = snapshot(str(project.root), data.path, store=store, residency=settings.residency)
    rows = validate(raw, contract, data, store=store)
    parts = split(rows, contract, data, seed, store=store)
    candidate = fit(parts, models, settings.model, seed, store=store)
    evaluation = evaluate(candidate, parts.comparison, settings.evaluation, store=store)

    rivals = {
        name: fit(parts, code(baselines.REFERENCE), ModelSettings(name=name), seed, store=store)
        for name in ("trivial", "linear")
    }
    champion = current_champion(settings.stack, settings.registered_model)
    if champion and champion.candidate != candidate:
        rivals["champion"] = champion.candidate
    comparisons = compare(evaluation, rivals, parts.comparison, settings.evaluation, seed)
    decision = judge(
        candidate,
        evaluation,
        comparisons,
        settings.policy,
        champion_digest=champion.candidate.digest if champion else None,
    )
    lineage = trace(str(project.root), settings, raw, models)
    known = register(settings, candidate, evaluation, comparisons, decision, lineage, overrides)
    return propose(str(project.root), settings, known)


def main() -> None:
    project = locate(Path(sys.argv[1]))
    sys.path.insert(0, str(project.root / "src"))
    result = train(project, sys.argv[2:])
    print(f"{'accepted' if result.accepted else 'refused'}: {result.candidate_digest}")


if __name__ == "__main__":
    main()
