"""One vocabulary in, each Prefect worker's own words out. Pure.

What each platform makes of resources is the affair of its own module; here they are chosen by kind,
and what all have in common is added: the image, the environment, and `extra`.

Guarantees, each held by a test: what is rendered fits the variable schema of the installed worker;
a resource that is asked for is rendered or is a problem, never dropped; the same target gives the
same variables.
"""

from collections.abc import Mapping
from typing import Any

from mlops_tasks.environment import TELEMETRY_OFF
from mlops_tasks.errors import SettingsError
from mlops_tasks.infrastructure import (
    azure_container_instance,
    cloud_run,
    docker,
    ecs,
    kubernetes,
    process,
    vertex,
)
from mlops_tasks.infrastructure.problem import EXTRA, IMAGE, OBSERVED, Problem, Translation
from mlops_tasks.infrastructure.secrets import written_secrets
from mlops_tasks.settings.infrastructure import ComputeTarget, Kind

COMMON = frozenset({"name", "env", "labels", "command"})
PLATFORMS = {
    "process": process,
    "docker": docker,
    "kubernetes": kubernetes,
    "ecs": ecs,
    "cloud-run-v2": cloud_run,
    "vertex-ai": vertex,
    "azure-container-instance": azure_container_instance,
}


def job_variables(target: ComputeTarget, environment: Mapping[str, str]) -> dict[str, Any]:
    """The job variables that a deployment on this target has.

    Parameters
    ----------
    target
        What is asked for.
    environment
        Variables for the process of the flow, for example addresses. No secrets: they would be
        stored with the deployment. Telemetry of all libraries is off in it, and where these
        variables also decide the region, `MLOPS_REGION` says it; elsewhere the work pool does
        (see `as_work_pool`), so that no configuration vouches for itself.

    Returns
    -------
    dict
        Plain data, in a fixed order.

    Raises
    ------
    SettingsError
        With every problem, if there is one.
    """
    found = problems(target)
    if found:
        raise SettingsError(
            "; ".join(f"{each.key}: {each.what}" for each in found),
            where=f"stack.compute, a work pool of type {target.kind!r}",
            next_step="correct conf/stack/*.yaml and look with `mlops stack check`",
        )
    if OBSERVED in environment:
        raise SettingsError(
            f"{OBSERVED} cannot be given to jobs: a configuration would vouch for itself",
            where="the environment of a job",
            next_step="set it in `env` of the work pool's base job template, or for the worker",
        )
    translation = _platform(target.kind).translate(target)
    env = TELEMETRY_OFF | dict(environment) | dict(target.extra.get("env") or {})
    if translation.region:
        env[OBSERVED] = translation.region
    variables: dict[str, Any] = {"env": env}
    if target.image:
        variables["image"] = target.image
    variables |= translation.variables
    for name, value in target.extra.items():
        if name != "env":
            said = variables.get(name)
            variables[name] = said | value if isinstance(said, dict) else value
    return variables


def problems(target: ComputeTarget) -> tuple[Problem, ...]:
    """Everything that the target's platform cannot do, each with its key and a sentence."""
    platform = _platform(target.kind)
    translation: Translation = platform.translate(target)
    return (
        *_image_problems(target),
        *translation.problems,
        *_extra_problems(target, platform.VARIABLES, translation.variables),
        *written_secrets(target.extra),
    )


def as_work_pool(target: ComputeTarget) -> dict[str, Any]:
    """The work pool that takes a target's runs: its name, its type, and what all its jobs get.

    Whoever makes the pool vouches for where it is: `env` belongs into its base job template, where
    it holds for every deployment.
    """
    # A process inherits it from its worker, who knows better.
    told = target.region and target.kind != "process"
    env = {OBSERVED: target.region} if told else {}
    return {"name": target.work_pool, "type": target.kind, "env": env}


def _platform(kind: Kind) -> Any:
    return PLATFORMS[kind]


def _image_problems(target: ComputeTarget) -> list[Problem]:
    if target.kind == "process":
        return [Problem(IMAGE, "a process has no image")] if target.image else []
    if target.image or target.extra.get("task_definition_arn"):
        return []
    return [Problem(IMAGE, "empty: Prefect's own image would run, without this project in it")]


def _extra_problems(
    target: ComputeTarget, variables: frozenset[str], said: Mapping[str, Any]
) -> list[Problem]:
    known = COMMON | variables
    found = []
    for name, value in sorted(target.extra.items()):
        key = f"{EXTRA}.{name}"
        if name not in known:
            found.append(Problem(key, f"{target.kind} has no such variable, only {_listed(known)}"))
        elif name == "image" or _said_twice(said.get(name), value):
            found.append(Problem(key, "said twice: resources, region or image say it already"))
        elif name == "env" and not _is_environment(value):
            found.append(Problem(key, "not a mapping of names to texts"))
        elif name == "env" and OBSERVED in value:
            what = "no configuration vouches for itself: the work pool or the worker says it"
            found.append(Problem(f"{key}.{OBSERVED}", what))
    return found


def _said_twice(said: object, value: object) -> bool:
    """Mappings are put together, as long as each key is in one of them only."""
    if isinstance(said, dict) and isinstance(value, dict):
        return bool(said.keys() & value.keys())
    return said is not None


def _is_environment(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, str) for pair in value.items() for each in pair
    )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
