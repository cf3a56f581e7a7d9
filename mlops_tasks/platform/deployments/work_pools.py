"""The work pool that a stack names: is it there, does it fit, and if not there, made.

Guarantees, each held by a test: a pool that would drop a job variable, or is of another type, is
refused before anything is deployed; a pool that is made tells its jobs in which region they are.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops_tasks.errors import PlatformError
from mlops_tasks.infrastructure.pool_fit import misfits
from mlops_tasks.infrastructure.translation import as_work_pool
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def is_missing(
    client: "SyncPrefectClient", settings: Settings, variables: Mapping[str, Any]
) -> bool:
    """Whether the stack's pool is still to be made.

    Raises
    ------
    PlatformError
        If it is there and does not take the stack's job variables.
    """
    from prefect.exceptions import ObjectNotFound

    target = settings.stack.compute
    try:
        pool = client.read_work_pool(target.work_pool)
    except ObjectNotFound:
        return True
    described = {"type": pool.type, "base_job_template": pool.base_job_template}
    if found := list(misfits(target, variables, described)):
        raise PlatformError(
            "; ".join(found),
            where=f"work pool {target.work_pool!r}",
            next_step="name another pool in stack.compute.work_pool, or correct this one",
        )
    return False


def create(client: "SyncPrefectClient", settings: Settings) -> None:
    """Make the stack's pool.

    Raises
    ------
    PlatformError
        If this environment has no worker of its type, whose template it would need.
    """
    import asyncio

    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

    wanted = as_work_pool(settings.stack.compute)
    template = asyncio.run(get_default_base_job_template_for_infrastructure_type(wanted["type"]))
    if template is None:
        raise PlatformError(
            f"this environment has no worker for pools of type {wanted['type']!r}",
            where=f"work pool {wanted['name']!r}",
            next_step=f"make it where one is: `prefect work-pool create --type {wanted['type']} "
            f"{wanted['name']}`",
        )
    if wanted["env"]:
        env = template["variables"]["properties"]["env"]
        env["default"] = {**(env.get("default") or {}), **wanted["env"]}
    client.create_work_pool(
        WorkPoolCreate(name=wanted["name"], type=wanted["type"], base_job_template=template)
    )
