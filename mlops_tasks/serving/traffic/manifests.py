"""Kubernetes manifests for champion and canary, from the same weights as everything else. Pure.

For a cluster that splits traffic itself: plain Services by number of pods (roughly, and not by
key), KServe by percent (whole ones, in its serverless mode). One server that does both versions
splits by key (`split`) and needs neither.

The champion's pods name no version: they follow the alias through promotions and rollbacks, and
leave the canary to its own pods, which are pinned to it (`mlops serve --version`). Those go on as
champion once it is promoted, and become unready once it is neither.

What a pod is, is the affair of `pods`.

Guarantees, each held by a test: the manifests fit the published schemas of Kubernetes and the
fields of KServe; a Service selects the pods that it is for; the same input gives the same bytes;
no promotion or rollback changes what stands there for the champion.
"""

from mlops_tasks.errors import SettingsError
from mlops_tasks.serving.traffic.pods import (
    GRACE_SECONDS,
    Deployed,
    Manifest,
    container_of,
    volumes_of,
)
from mlops_tasks.serving.traffic.state import Traffic

PART_OF = "app.kubernetes.io"


def share_of_pods(replicas: int, weight: float) -> tuple[int, int]:
    """How many pods champion and canary get; both answer unless the weight is 0 or 1.

    Examples
    --------
    >>> share_of_pods(10, 0.3), share_of_pods(3, 0.05), share_of_pods(3, 1.0)
    ((7, 3), (2, 1), (0, 3))
    """
    if weight in (0.0, 1.0):
        canary = int(replicas * weight)
        return replicas - canary, canary
    total = max(replicas, 2)
    canary = min(max(round(total * weight), 1), total - 1)
    return total - canary, canary


def plain_manifests(deployed: Deployed, traffic: Traffic) -> list[Manifest]:
    """Deployments and Services: one Service for callers, and one for each version alone.

    Parameters
    ----------
    deployed
        Image, size and number of pods.
    traffic
        The canary and its weight; the shadow is not a matter of pods.
    """
    canary = traffic.canary_version
    weight = traffic.canary_weight if canary is not None else 0.0
    pods = share_of_pods(deployed.replicas, weight)
    found = [_service(deployed, "")]
    found += [_deployment(deployed, "champion", None, pods[0]), _service(deployed, "champion")]
    if canary is not None:
        found += [_deployment(deployed, "canary", canary, pods[1]), _service(deployed, "canary")]
    return found


def kserve_manifest(
    deployed: Deployed, canary: int | None = None, percent: int | None = None
) -> Manifest:
    """An InferenceService for the champion, or for one canary.

    KServe sends `percent` of the requests to what is applied now and the rest to what was rolled
    out completely before: apply the champion without a percent, and then the canary with one.

    Parameters
    ----------
    deployed
        Image, size, and the least number of pods.
    canary
        The version that answers; None follows the champion.
    percent
        See `whole_percent`; None rolls it out completely.
    """
    # Knative takes no security context of the pod: all of it stands at the container.
    predictor: Manifest = {
        "minReplicas": deployed.replicas,
        "containers": [container_of(deployed, canary, name="kserve-container", port="http1")],
        "volumes": volumes_of(deployed),
        "automountServiceAccountToken": False,
        "timeout": GRACE_SECONDS,
    }
    if percent is not None:
        predictor["canaryTrafficPercent"] = percent
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": deployed.name, "labels": _labels(deployed, "")},
        "spec": {"predictor": predictor},
    }


def whole_percent(weight: float) -> int:
    """The share in whole percent, never more than was decided.

    Raises
    ------
    SettingsError
        If it is less than one percent.
    """
    percent = int(weight * 100 + 1e-9)
    if percent < 1:
        raise SettingsError(
            f"KServe splits by whole percent, and {weight:g} is less than one",
            where="canary_weight",
            next_step="`mlops canary widen --weight 0.01`",
        )
    return percent


def manifests(deployed: Deployed, traffic: Traffic) -> dict[str, list[Manifest]]:
    """All files: name to the documents in it, in the order in which KServe's are applied."""
    found = {
        "kubernetes.yaml": plain_manifests(deployed, traffic),
        "kserve-1-champion.yaml": [kserve_manifest(deployed)],
    }
    if traffic.canary_version is not None:
        percent = whole_percent(traffic.canary_weight)
        canary = kserve_manifest(deployed, traffic.canary_version, percent)
        found["kserve-2-canary.yaml"] = [canary]
    return found


def as_yaml(documents: list[Manifest]) -> str:
    """Documents as one YAML file."""
    import yaml

    return yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True)


def _labels(deployed: Deployed, track: str) -> dict[str, str]:
    labels = {f"{PART_OF}/name": deployed.name, f"{PART_OF}/managed-by": "mlops-tasks"}
    return labels | ({"track": track} if track else {})


def _selector(deployed: Deployed, track: str) -> dict[str, str]:
    return {f"{PART_OF}/name": deployed.name} | ({"track": track} if track else {})


def _service(deployed: Deployed, track: str) -> Manifest:
    name = f"{deployed.name}-{track}" if track else deployed.name
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": _labels(deployed, track)},
        "spec": {
            "selector": _selector(deployed, track),
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def _deployment(deployed: Deployed, track: str, canary: int | None, replicas: int) -> Manifest:
    labels = _labels(deployed, track)
    if canary is not None:
        labels[f"{PART_OF}/version"] = str(canary)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{deployed.name}-{track}", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": _selector(deployed, track)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "containers": [container_of(deployed, canary, name="server", port="http")],
                    "volumes": volumes_of(deployed),
                },
            },
        },
    }
