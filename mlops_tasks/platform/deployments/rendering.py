"""A project's `prefect.yaml`, for one stack and stage. Pure: plain data in, plain data out.

The file says which deployments there are, in the words of `prefect deploy`; the configuration says
where they run and with which overrides. What is rendered is again a file that Prefect reads.

Guarantees, each held by a test: what the file says besides is left as it is; rendering is
repeatable; two stages, and two projects on one server, never share a deployment.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mlops_tasks.platform.deployments.recovery import (
    PROJECT_TAG,
    STAGE_TAG,
    project_tag,
    stage_tag,
)
from mlops_tasks.settings.schema import Settings, registered_name

WORKING_DIRECTORY = "prefect.deployments.steps.set_working_directory"
IN_THE_IMAGE = "/app"  # WORKDIR of the project's Dockerfile


def rendered(
    written: Mapping[str, Any],
    settings: Settings,
    overrides: Sequence[str],
    job_variables: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of `prefect.yaml` for a stack.

    Parameters
    ----------
    written
        The content of the project's own file.
    settings
        The configuration with the overrides applied: names work pool and stage.
    overrides
        What each run is started with; runs of a trigger get what the event says instead.
    job_variables
        Of the stack's platform; they win over those that are written.
    """
    made = copy.deepcopy(dict(written))
    if settings.stack.compute.kind != "process":
        made["pull"] = [_inside_the_image(step) for step in made.get("pull") or []]
    made["deployments"] = [
        _deployment(each, settings, overrides, job_variables)
        for each in made.get("deployments") or []
    ]
    made.pop("definitions", None)  # only there for the anchors, which are resolved
    return made


def _deployment(
    written: Mapping[str, Any],
    settings: Settings,
    overrides: Sequence[str],
    job_variables: Mapping[str, Any],
) -> dict[str, Any]:
    pool = dict(written.get("work_pool") or {})
    pool["name"] = settings.stack.compute.work_pool
    pool["job_variables"] = _merged(pool.get("job_variables") or {}, job_variables)
    made = {
        **written,
        "name": _name(str(written.get("name") or settings.project), settings),
        "tags": _tags(written.get("tags") or [], settings),
        "work_pool": pool,
        "parameters": {**(written.get("parameters") or {}), "overrides": list(overrides)},
    }
    if triggers := written.get("triggers"):
        made["triggers"] = [_trigger(each, settings) for each in triggers]
    return made


def _name(written: str, settings: Settings) -> str:
    """As a model is named: `flight-delay` where it is developed, `flight-delay.prod` elsewhere."""
    return registered_name(written, settings.stack.stage)


def _tags(written: Sequence[str], settings: Settings) -> list[str]:
    kept = [each for each in written if not each.startswith((PROJECT_TAG, STAGE_TAG))]
    return [*kept, project_tag(settings.project), stage_tag(settings.stack.stage)]


def _trigger(written: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """An alarm about the model of a stage starts the training of that stage."""
    own, model = f"mlops.model.{settings.project}", f"mlops.model.{settings.registered_model}"
    made = copy.deepcopy(dict(written))
    match = made.get("match") or {}
    for label, values in match.items():
        listed = [values] if isinstance(values, str) else values
        match[label] = [model if each == own else each for each in listed]
    if "name" in made:
        made["name"] = _name(str(made["name"]), settings)
    return made


def _inside_the_image(step: Mapping[str, Any]) -> dict[str, Any]:
    if WORKING_DIRECTORY not in step:
        return dict(step)
    return {WORKING_DIRECTORY: {**step[WORKING_DIRECTORY], "directory": IN_THE_IMAGE}}


def _merged(written: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Both; environments name by name."""
    environment = {**(written.get("env") or {}), **(given.get("env") or {})}
    return {**written, **given, **({"env": environment} if environment else {})}
