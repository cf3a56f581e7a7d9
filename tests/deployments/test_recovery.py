"""The automations of a project on a real server, without a worker."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from mlops_tasks.platform.deployments.recovery import automations, project_tag, watch

pytestmark = pytest.mark.slow


@flow
def anything() -> None: ...


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def project() -> str:
    return f"p-{uuid4().hex[:8]}"


def ids(client: SyncPrefectClient, project: str) -> dict[str, list[str]]:
    names = [each.name for each in automations(project, 60, 60, 1, 60)]
    return {
        name: [str(each.id) for each in client.read_automations_by_name(name)] for name in names
    }


def test_twice_is_once(client: SyncPrefectClient, project: str) -> None:
    watch(project)
    first = ids(client, project)
    assert [len(each) for each in first.values()] == [1] * 5
    watch(project, silent_seconds=90)
    assert ids(client, project) == first
    [silent, *_] = client.read_automations_by_name(f"{project}: a silent run is crashed")
    assert silent.trigger.within.total_seconds() == 90  # type: ignore[union-attr]


def test_one_too_many_is_deleted(client: SyncPrefectClient, project: str) -> None:
    """As two deployments at the same time would leave it."""
    watch(project)
    client.create_automation(automations(project, 180, 900, 2, 60)[0])
    watch(project)
    assert [len(each) for each in ids(client, project).values()] == [1] * 5


def test_without_restarts_nothing_begins_again(client: SyncPrefectClient, project: str) -> None:
    watch(project)
    watch(project, restarts=0)
    assert [len(each) for each in ids(client, project).values()] == [1, 1, 1, 0, 0]


def test_what_is_cancelled_without_a_worker_is_cancelled(
    client: SyncPrefectClient, project: str
) -> None:
    watch(project, silent_seconds=30)
    mine, other = (
        client.create_flow_run(anything, tags=[project_tag(name)], state=Cancelling())
        for name in (project, f"{project}-2")
    )
    end = time.monotonic() + 150
    while client.read_flow_run(mine.id).state_type != StateType.CANCELLED:
        assert time.monotonic() < end, "it is Cancelling for ever"
        time.sleep(1)
    assert client.read_flow_run(other.id).state_type == StateType.CANCELLING, "not this project's"
