"""When is a step's earlier result still good? When everything it was made of is the same.

`ByContent` builds a key from the content of the inputs (digests, not addresses), the name of the
task and the library's source; nothing of the run, the process or the machine goes into it, so a
result is found again by another run, on another machine and another Python version. Results are
stored as JSON that names its type: reading one cannot run code, as unpickling could. Where they
lie, and which of them count, is `results`' affair.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.serializers import Serializer

from mlops_tasks.encoding import decode, digest, encode
from mlops_tasks.platform.results import SharedResults
from mlops_tasks.references import source_digest

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class ByContent(CachePolicy):
    """Key by content of the inputs, leaving out those that say where and not what."""

    exclude: list[str] = field(default_factory=lambda: ["root", "store"])

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        """SHA-256 of task name, library source and inputs."""
        kept = {name: value for name, value in inputs.items() if name not in self.exclude}
        return digest([task_ctx.task.name, _library_digest(), kept])


class ArtifactSerializer(Serializer):
    """Results as typed JSON, see `encoding.encode`."""

    type: str = "artifact"

    def dumps(self, obj: Any) -> bytes:
        """Write an artifact."""
        return encode(obj)

    def loads(self, blob: bytes) -> Any:
        """Read an artifact."""
        return decode(blob)


class CachedTask(Task[P, R]):
    """A task whose results lie where the stack of its run keeps them, see `SharedResults`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # As an option it would have to be saved on a Prefect server, and here there is none yet.
        self.result_storage = SharedResults()

    def with_options(self, **options: Any) -> Any:
        """The same task with other options; its results stay where they are."""
        other = super().with_options(**{"result_storage": None, **options})
        other.__class__ = type(self)  # or its options could not be changed once more
        if other.result_storage is None:
            other.result_storage = SharedResults()
        return other


@cache
def _library_digest() -> str:
    return source_digest("mlops_tasks")
