"""The pod of champion or canary: container, limits, probes, and what it may not do. Pure.

What a pod writes (the journal of the prediction log, the cache of verified models) lies in volumes
that live as long as the pod: a container that is killed loses nothing, a pod that is deleted closes
its log within `GRACE_SECONDS`, and a node that is lost takes with it what was not yet in
`stack.predictions`.

Guarantee, held by a test: not root, read-only root file system, no privileges, no token of the
cluster.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_tasks.errors import SettingsError

Manifest = dict[str, Any]
HOME = "/var/lib/mlops"
USER = 1000  # the project's Dockerfile makes it
STARTING_SECONDS = 300
PERIOD_SECONDS = 10
GRACE_SECONDS = 60
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is the same for all pods of a model.

    Parameters
    ----------
    name
        Of the services: lower-case letters, digits and hyphens.
    image
        With the project and its environment, best by digest.
    replicas
        Pods in all.
    port
        On which pods listen.
    cpu, memory
        Request and limit of one pod, in Kubernetes' own words.
    secret
        Name of a Secret whose entries become environment variables; none if empty.
    keys_secret
        Name of a Secret with the public model key and the API keys, mounted where the stack's
        `key_folder` is; none if empty.
    environment
        More variables.
    overrides
        Hydra overrides of the server, for example `stack=kubernetes`.
    """

    name: str
    image: str
    replicas: int = 3
    port: int = 8080
    cpu: str = "1"
    memory: str = "1Gi"
    secret: str = ""
    keys_secret: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SettingsError(
                f"{self.name!r} cannot be the name of a Service",
                where="the manifests",
                next_step="use lower-case letters, digits and hyphens, at most 42",
            )
        for key, value in (("cpu", self.cpu), ("memory", self.memory)):
            if not _QUANTITY.fullmatch(value):
                raise SettingsError(
                    f"{value!r} is not a quantity", where=key, next_step="like 500m, 2, 1Gi"
                )
        if self.replicas < 1:
            raise SettingsError(
                "there must be at least one pod", where="replicas", next_step="--replicas 3"
            )


def container_of(deployed: Deployed, canary: int | None, *, name: str, port: str) -> Manifest:
    """The container that follows the champion, or serves one canary; `port` is its port's name."""
    command = ["mlops", "serve", "--host", "0.0.0.0", "--port", str(deployed.port)]
    command += ["--no-canary"] if canary is None else ["--version", str(canary)]
    for override in deployed.overrides:
        command += ["--set", override]
    size = {"cpu": deployed.cpu, "memory": deployed.memory}
    variables = {"MLOPS_HOME": HOME, "PYTHONDONTWRITEBYTECODE": "1", **deployed.environment}
    container: Manifest = {
        "name": name,
        "image": deployed.image,
        "command": command,
        "ports": [{"name": port, "containerPort": deployed.port, "protocol": "TCP"}],
        "env": [{"name": key, "value": value} for key, value in sorted(variables.items())],
        "resources": {"requests": size, "limits": size},
        "startupProbe": _probe("/healthz", port, STARTING_SECONDS // PERIOD_SECONDS),
        "livenessProbe": _probe("/healthz", port, 3),
        "readinessProbe": _probe("/readyz", port, 1),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "home", "mountPath": HOME},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
    }
    if deployed.secret:
        container["envFrom"] = [{"secretRef": {"name": deployed.secret}}]
    if deployed.keys_secret:
        keys = {"name": "keys", "mountPath": f"{HOME}/keys", "readOnly": True}
        container["volumeMounts"].append(keys)
    return container


def _probe(path: str, port: str, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": PERIOD_SECONDS,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def volumes_of(deployed: Deployed) -> list[Manifest]:
    """What the container writes to, and the keys that it reads."""
    found: list[Manifest] = [
        {"name": "home", "emptyDir": {}},
        {"name": "scratch", "emptyDir": {}},
    ]
    if deployed.keys_secret:
        found.append({"name": "keys", "secret": {"secretName": deployed.keys_secret}})
    return found
