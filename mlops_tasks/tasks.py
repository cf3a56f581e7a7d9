"""The switchboard: the one place where a function becomes a Prefect task.

Each line is a function and its orchestration policy. Steps that only compute are cached by content
across runs; steps that ask or change the outside world (the champion, the registry) never are. All
of them start only where their inputs may be.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE, CachePolicy

from mlops_tasks.data import admission, contracts, splits, versions
from mlops_tasks.evaluation import backtest_windows, comparison, gate
from mlops_tasks.evaluation import evaluate as evaluation
from mlops_tasks.monitoring import assessment, detection, late, memory, publication, traffic
from mlops_tasks.platform import presentation, retraining
from mlops_tasks.platform.caching import ArtifactSerializer, ByContent, CachedTask
from mlops_tasks.platform.progress import on_completion, on_running
from mlops_tasks.platform.scoring import spread_over
from mlops_tasks.platform.travelling import Travelling
from mlops_tasks.registry import backtests, lineage, proposals, reigning, release
from mlops_tasks.registry import register as registration
from mlops_tasks.serving import batch
from mlops_tasks.serving.prediction_log import retention
from mlops_tasks.training import fit as training
from mlops_tasks.tuning import worker

BY_CONTENT = ByContent()
# A path says nothing about content: the state of the file decides whether it must be read again.
BY_FILE_STATE = BY_CONTENT + CachePolicy.from_cache_key_fn(
    lambda context, inputs: versions.fingerprint(inputs["root"], inputs["path"])
)

P = ParamSpec("P")
R = TypeVar("R")


def _cached(
    function: Callable[P, R],
    name: str,
    policy: CachePolicy,
    run_name: str | None = None,
    *,
    alone: bool = False,
) -> Task[P, R]:
    """A step that computes: its result is kept as JSON and found again by content."""
    return CachedTask(
        Travelling(function, alone),
        name=name,
        task_run_name=run_name,
        cache_policy=policy,
        persist_result=True,
        result_serializer=ArtifactSerializer(),
        on_running=[on_running],
        on_completion=[on_completion],
    )


def _live(function: Callable[P, R], name: str) -> Task[P, R]:
    """A step that asks or changes the outside world, so it is done every time."""
    return Task(
        Travelling(function),
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        on_running=[on_running],
        on_completion=[on_completion],
    )


snapshot = _cached(versions.snapshot, "snapshot", BY_FILE_STATE)
validate = _cached(contracts.validate, "validate", BY_CONTENT)
admit = _cached(admission.admit, "admit", BY_CONTENT)
split = _cached(splits.split, "split", BY_CONTENT)
fit = _cached(training.fit, "fit", BY_CONTENT, run_name="fit {model.name}", alone=True)
evaluate = _cached(evaluation.evaluate, "evaluate", BY_CONTENT, alone=True)
compare = _cached(comparison.compare, "compare", BY_CONTENT, alone=True)
cut_windows = _cached(backtest_windows.cut_windows, "windows", BY_CONTENT)
score_parts = _live(batch.score_parts, "score parts")
score_batch = _cached(spread_over(score_parts), "score", BY_CONTENT)

current_champion = _live(release.current_champion, "champion")
judge = _live(gate.judge, "gate")
trace = _live(lineage.trace, "lineage")
register = _live(registration.register, "register")
propose = _live(proposals.propose, "propose")

try_parameters = _live(worker.try_parameters, "try parameters")
record_backtest = _live(backtests.record_backtest, "backtest")

reigning_champion = _live(reigning.reigning_champion, "champion")
retire_log = _live(retention.retire, "retention")
answering_champion = _live(late.answering_champion, "champion")
gather = _live(traffic.gather, "traffic")
detect = _live(detection.detect, "drift")
assess = _live(assessment.assess, "performance")
decide = _live(memory.decide, "alarm")
call_for_training = _live(retraining.call_for_training, "call")
publish = _live(publication.publish, "report")
show = _live(presentation.show, "show")
