"""Deploy a project's flows for a stack and stage, with Prefect's own `prefect deploy`.

Guarantees, each held by a test: every problem of the stack is told before the server is changed;
deploying twice changes nothing; a deployment of another project is never taken over or deleted, and
one of this project that is no longer written is deleted only when asked.

Who a deployment belongs to is told by its tags, see `recovery`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_tasks.errors import PlatformError, SettingsError
from mlops_tasks.infrastructure.job_environment import job_environment
from mlops_tasks.infrastructure.translation import job_variables
from mlops_tasks.platform.closed import require_closed_api
from mlops_tasks.platform.deployments import work_pools
from mlops_tasks.platform.deployments.recovery import PROJECT_TAG, project_tag, stage_tag
from mlops_tasks.platform.deployments.rendering import rendered
from mlops_tasks.settings.compose import compose
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

FILE = "prefect.yaml"
PAGE = 200
TOLD = 2000  # characters of what `prefect deploy` said last


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment on the server: `flow/name`, and where its runs go."""

    name: str
    id: str
    work_pool: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a deployment did, or would do.

    `content` is the rendered `prefect.yaml`. `orphans` are deployments of this project and stage
    that it no longer has; `pruned` says whether they were deleted.
    """

    content: dict[str, Any]
    deployments: tuple[Deployed, ...]
    orphans: tuple[Deployed, ...]
    pruned: bool


def deploy(
    root: Path, overrides: Sequence[str], *, prune: bool = False, dry_run: bool = False
) -> Outcome:
    """Make the deployments of a project for the stack and stage that overrides name.

    Parameters
    ----------
    root
        The project's folder.
    overrides
        Hydra overrides such as `stack=team stack.stage=prod`; each run is started with them.
    prune
        Delete what `orphans` lists.
    dry_run
        Ask and render only; nothing is changed.

    Raises
    ------
    SettingsError
        If the configuration, `prefect.yaml` or the stack is wrong; with every problem.
    ResidencyRefused
        If data would be processed or kept where it may not be.
    PlatformError
        If there is no Prefect server, or it or `prefect deploy` refuses.
    """
    environment = job_environment(root, overrides)  # names all that is missing, compose the first
    settings = compose(root, overrides)
    variables = job_variables(settings.stack.compute, environment)
    content = rendered(_written(root / FILE), settings, overrides, variables)
    names = _names(root, content)
    _require_server(settings)
    with _client() as client:
        _refuse_to_take_over(client, names, settings.project)
        missing = work_pools.is_missing(client, settings, variables)
        if not dry_run:
            if missing:
                work_pools.create(client, settings)
            _prefect_deploy(root, content)
        orphans = tuple(each for each in _owned(client, settings) if each.name not in names)
        if prune and not dry_run:
            for orphan in orphans:
                _delete(client, orphan)
        left = tuple(each for each in _owned(client, settings) if each not in orphans)
    return Outcome(content, left, orphans, prune and not dry_run)


def _client() -> "SyncPrefectClient":
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)


def _written(file: Path) -> dict[str, Any]:
    import yaml

    try:
        with file.open(encoding="utf-8") as stream:
            written = yaml.safe_load(stream)
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = str(error)
    else:
        if isinstance(written, dict) and isinstance(written.get("deployments"), list):
            return written
        problem = "it has no list of deployments"
    raise SettingsError(
        f"the deployments cannot be read: {problem}", where=str(file), next_step="correct the file"
    )


def _names(root: Path, content: Mapping[str, Any]) -> tuple[str, ...]:
    """`flow/name` of each deployment; the flow's name is read without running the code."""
    from prefect.flows import load_flow_arguments_from_entrypoint

    names = []
    for each in content["deployments"]:
        entrypoint = str(each.get("entrypoint"))
        try:
            found = load_flow_arguments_from_entrypoint(str(root / entrypoint), {"name"})
        except (OSError, ValueError, SyntaxError) as error:
            raise SettingsError(
                f"there is no flow to deploy: {error}",
                where=f"{FILE}, entrypoint {entrypoint!r}",
                next_step="correct the entrypoint",
            ) from error
        names.append(f"{found['name']}/{each['name']}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(
            f"written twice: {', '.join(twice)}", where=FILE, next_step="give each a name"
        )
    return tuple(names)


def _require_server(settings: Settings) -> None:
    require_closed_api(settings.stack)
    if not os.environ.get("PREFECT_API_URL"):
        raise PlatformError(
            "there is no Prefect server to deploy to",
            where="PREFECT_API_URL",
            next_step="start one with `mlops up`, or set the address of a team's server",
        )


def _refuse_to_take_over(client: "SyncPrefectClient", names: Sequence[str], project: str) -> None:
    from prefect.exceptions import ObjectNotFound

    for name in names:
        try:
            tags = client.read_deployment_by_name(name).tags
        except ObjectNotFound:
            continue
        owners = [tag for tag in tags if tag.startswith(PROJECT_TAG)]
        if owners and owners != [project_tag(project)]:
            raise PlatformError(
                f"deployment {name!r} belongs to {owners[0].removeprefix(PROJECT_TAG)!r}",
                where=FILE,
                next_step="give it a name that has the project's in it",
            )


def _prefect_deploy(root: Path, content: Mapping[str, Any]) -> None:
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        file.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        done = subprocess.run(
            [*command, "--prefect-file", str(file)],
            cwd=root,
            env={**os.environ, "PROJECT_ROOT": str(root.absolute()), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    # Prefect skips what it cannot read, and exits with 0.
    if done.returncode or "Skipping" in done.stdout:
        raise PlatformError(
            f"`prefect deploy` refuses: …{(done.stdout + done.stderr).strip()[-TOLD:]}",
            where=str(root / FILE),
            next_step="correct the file; `mlops deploy --dry-run` shows what is sent",
        )


def _owned(client: "SyncPrefectClient", settings: Settings) -> list[Deployed]:
    """All deployments of this project and stage, in the order of their names."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tags = DeploymentFilterTags(all_=[project_tag(settings.project), _stage(settings)])
    wanted = DeploymentFilter(tags=tags)
    flows: dict[Any, str] = {}
    found: list[Deployed] = []
    while True:
        page = client.read_deployments(deployment_filter=wanted, limit=PAGE, offset=len(found))
        for each in page:
            if each.flow_id not in flows:
                flows[each.flow_id] = client.read_flow(each.flow_id).name
            name = f"{flows[each.flow_id]}/{each.name}"
            found.append(Deployed(name, str(each.id), each.work_pool_name or ""))
        if len(page) < PAGE:
            return sorted(found, key=lambda each: each.name)


def _stage(settings: Settings) -> str:
    return stage_tag(settings.stack.stage)


def _delete(client: "SyncPrefectClient", orphan: Deployed) -> None:
    from uuid import UUID

    client.delete_resource_owned_automations(f"prefect.deployment.{orphan.id}")
    client.delete_deployment(UUID(orphan.id))
