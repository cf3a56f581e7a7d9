"""Work pools of a stack on a real server."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from mlops_tasks.errors import PlatformError
from mlops_tasks.infrastructure.translation import job_variables
from mlops_tasks.platform.deployments import work_pools
from mlops_tasks.settings.compose import compose
from mlops_tasks.settings.infrastructure import ComputeTarget, Kind
from mlops_tasks.settings.schema import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as found:
        yield found


def on(root: Path, kind: Kind, pool: str) -> Settings:
    settings = compose(root, placed=False)
    target = ComputeTarget(kind=kind, work_pool=pool, region="eu-1", image="here/it:1")
    stack = settings.stack.model_copy(update={"compute": target})
    return settings.model_copy(update={"stack": stack})


def test_a_pool_that_is_made_fits_and_says_where_it_is(
    client: SyncPrefectClient, root: Path
) -> None:
    settings = on(root, "kubernetes", f"pool-{uuid4().hex[:8]}")
    target = settings.stack.compute
    variables = job_variables(target, {})
    assert work_pools.is_missing(client, settings, variables)
    work_pools.create(client, settings)
    assert not work_pools.is_missing(client, settings, variables)
    template = client.read_work_pool(target.work_pool).base_job_template
    assert template["variables"]["properties"]["env"]["default"]["MLOPS_REGION"] == "eu-1"


def test_a_pool_of_another_type_is_refused(client: SyncPrefectClient, root: Path) -> None:
    settings = on(root, "docker", f"pool-{uuid4().hex[:8]}")
    work_pools.create(client, settings)
    other = on(root, "kubernetes", settings.stack.compute.work_pool)
    with pytest.raises(PlatformError, match="of type 'docker'"):
        work_pools.is_missing(client, other, job_variables(other.stack.compute, {}))
