"""Jobs on Kubernetes: requests and limits are the same, so a pod is not the first to be evicted.

Pure. Units: cores in thousandths, memory in MiB, both as Kubernetes quantities.
"""

from typing import Any

from mlops_tasks.infrastructure.problem import GPU, GPU_KIND, HOURS, Translation, without_variable
from mlops_tasks.infrastructure.quantities import binary_memory, kubernetes_cpu
from mlops_tasks.settings.infrastructure import ComputeTarget

VARIABLES = frozenset(
    {
        "annotations", "namespace", "image", "service_account_name", "image_pull_policy",
        "backoff_limit", "finished_job_ttl", "job_watch_timeout_seconds",
        "pod_watch_timeout_seconds", "stream_output", "cluster_config", "cpu_request",
        "cpu_limit", "memory_request", "memory_limit",
    }
)  # fmt: skip


def translate(target: ComputeTarget) -> Translation:
    """GPUs and a limit of time have no variable in Prefect's own job template."""
    asked = target.resources
    variables: dict[str, Any] = {}
    if asked.cpu_cores is not None:
        variables["cpu_request"] = variables["cpu_limit"] = kubernetes_cpu(asked.cpu_cores)
    if asked.memory_gib is not None:
        variables["memory_request"] = variables["memory_limit"] = binary_memory(asked.memory_gib)
    problems = without_variable("Kubernetes", asked, GPU, GPU_KIND, HOURS)
    return Translation(variables, tuple(problems))
