"""The switchboard: the one place where a function becomes a Prefect task.

Each line is a function and its orchestration policy. Steps that only compute are cached by content
across runs; steps that ask or change the outside world (the champion, the registry) never are.
Failures on the way to a server are retried; what a person must put right is not.
"""

from functools import partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE, CachePolicy

from mlops_tasks.data import contracts, splits, versions
from mlops_tasks.evaluation import comparison, gate
from mlops_tasks.evaluation import evaluate as evaluation
from mlops_tasks.platform.caching import ArtifactSerializer, ByContent
from mlops_tasks.platform.progress import on_completion, on_running
from mlops_tasks.registry import lineage, models
from mlops_tasks.registry import register as registration
from mlops_tasks.serving import batch
from mlops_tasks.training import fit as training

BY_CONTENT = ByContent()
# A path says nothing about content: the state of the file decides whether it must be read again.
BY_FILE_STATE = BY_CONTENT + CachePolicy.from_cache_key_fn(
    lambda context, inputs: versions.fingerprint(inputs["root"], inputs["path"])
)

_watched: dict[str, Any] = {"on_running": [on_running], "on_completion": [on_completion]}
_cached = partial(task, persist_result=True, result_serializer=ArtifactSerializer(), **_watched)
_live = partial(task, cache_policy=NO_CACHE, persist_result=False, **_watched)

snapshot = _cached(versions.snapshot, name="snapshot", cache_policy=BY_FILE_STATE)
validate = _cached(contracts.validate, name="validate", cache_policy=BY_CONTENT)
admit = _cached(contracts.admit, name="admit", cache_policy=BY_CONTENT)
split = _cached(splits.split, name="split", cache_policy=BY_CONTENT)
fit = _cached(training.fit, name="fit", task_run_name="fit {model.name}", cache_policy=BY_CONTENT)
evaluate = _cached(evaluation.evaluate, name="evaluate", cache_policy=BY_CONTENT)
compare = _cached(comparison.compare, name="compare", cache_policy=BY_CONTENT)
score_batch = _cached(batch.score_batch, name="score", cache_policy=BY_CONTENT)

current_champion = _live(models.current_champion, name="champion")
judge = _live(gate.judge, name="gate")
trace = _live(lineage.trace, name="lineage")
register = _live(registration.register, name="register")
