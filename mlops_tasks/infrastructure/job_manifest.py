"""The Kubernetes Job that Prefect's worker makes of job variables, to be read before it runs. Pure.

It is Prefect's own job template that runs; this shows what comes of it, without what differs from
run to run (ids, labels, the key of the API).

Guarantees, each held by a test: the manifest fits Kubernetes' schemas, and pods, image, resources
and environment are those of the job that the installed worker would submit.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

NAMESPACE = "default"
COMMAND = ("prefect", "flow-run", "execute")


def job_manifest(variables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A `batch/v1` Job.

    Parameters
    ----------
    variables
        Job variables of a Kubernetes target.
    name
        Beginning of the job's name; Kubernetes adds to it.
    """
    command = variables.get("command")
    container = {
        "name": "prefect-job",
        "image": variables["image"],
        "imagePullPolicy": variables.get("image_pull_policy", "IfNotPresent"),
        "args": command.split() if command else list(COMMAND),
        "env": [{"name": key, "value": value} for key, value in variables["env"].items()],
        "resources": {
            "limits": _sizes(variables, "limit"),
            "requests": _sizes(variables, "request"),
        },
    }
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if account := variables.get("service_account_name"):
        pod["serviceAccountName"] = account
    described = {name: variables.get(name, {}) for name in ("labels", "annotations")}
    spec: dict[str, Any] = {
        "backoffLimit": variables.get("backoff_limit", 0),
        "template": {"metadata": deepcopy(described), "spec": pod},
    }
    if (seconds := variables.get("finished_job_ttl")) is not None:
        spec["ttlSecondsAfterFinished"] = seconds
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"{name}-",
            "namespace": variables.get("namespace", NAMESPACE),
            **deepcopy(described),
        },
        "spec": spec,
    }


def _sizes(variables: Mapping[str, Any], kind: str) -> dict[str, str]:
    found = {what: variables.get(f"{what}_{kind}") for what in ("cpu", "memory")}
    return {what: size for what, size in found.items() if size is not None}
