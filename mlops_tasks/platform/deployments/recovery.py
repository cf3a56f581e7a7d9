"""What becomes of a flow run whose worker or process dies: automations for each project.

A run that was heard of and then is silent is marked Crashed, so is one that never begins; a run
that was cancelled while nobody was there to stop it is Cancelled. A crashed run is scheduled again,
as the same run with the same parameters; its finished steps come from the cache. A run that crashed
before it ran, because its code or image cannot be had, stays Crashed: trying again would not help.

Guarantees, each held by a test: applying twice makes no second automation and keeps the ids; an
automation that somebody has paused stays paused; a run that waits for an approval is not silent; a
run that crashes each time it runs is Crashed in the end.

A machine that is only cut off from the server may still work on a run that begins again elsewhere:
that a model is registered once is the registry's affair, not that of these automations.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

PROJECT_TAG = "mlops.project:"
STAGE_TAG = "mlops.stage:"
HEARTBEAT = "prefect.flow-run.heartbeat"
COUNT, MESSAGE = "prefect.run-count", "prefect.state-message"
HANDED_OVER = ("Pending", "Submitting", "InfrastructurePending")
BEGUN = (*HANDED_OVER, "Running", "Retrying")
ENDED = ("Completed", "Failed", "Cancelled", "Crashed")
# Nobody is expected to be heard of in these.
AT_REST = (
    *("Scheduled", "Late", "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming"),
    *("Suspended", "Paused", "Cancelling"),
)
SHORTEST_SECONDS = 30  # Prefect sends no heartbeats more often than that
CRASHED_AGAIN = "a crashed run begins again"
NEVER_BEGAN_AGAIN = "a run that never began begins again"
NEVER_BEGAN = "Never began: nobody has started it since it was handed to a worker."


def project_tag(project: str) -> str:
    """The tag that says which project a deployment and its runs belong to."""
    return f"{PROJECT_TAG}{project}"


def stage_tag(stage: str) -> str:
    """The tag that says which stage they belong to."""
    return f"{STAGE_TAG}{stage}"


def watch(
    project: str,
    silent_seconds: int = 180,
    begin_seconds: int = 900,
    restarts: int = 2,
    pause_seconds: int = 60,
) -> dict[str, str]:
    """Make a project's automations what they should be; a `build` step of `prefect.yaml`.

    Parameters
    ----------
    project
        Whose flow runs, known by their tag.
    silent_seconds
        A running flow that was not heard of for so long is dead. At least twice the heartbeat
        (PREFECT_FLOWS_HEARTBEAT_FREQUENCY in the environment of its runs).
    begin_seconds
        A run that a worker has taken must be heard of within this time; pulling an image counts.
    restarts
        How often a run that crashed while it ran begins again.
    pause_seconds
        How long after the crash. A worker tells of the same crash a second time when it has cleaned
        up; a run that had begun again by then would be taken for crashed, and begin twice.

    Returns
    -------
    dict
        Nothing that later steps would need.

    Raises
    ------
    ValueError
        If a number is too small to mean anything.
    """
    from prefect.client.orchestration import get_client

    all_wanted = automations(project, silent_seconds, begin_seconds, restarts, pause_seconds)
    with get_client(sync_client=True) as client:
        for wanted in all_wanted:
            _apply(client, wanted)
        for name in _restarting(project) - {wanted.name for wanted in all_wanted}:
            for unwanted in client.read_automations_by_name(name):
                client.delete_automation(unwanted.id)
    return {}


def automations(
    project: str, silent_seconds: int, begin_seconds: int, restarts: int, pause_seconds: int
) -> "tuple[AutomationCore, ...]":
    """The automations of a project, see `watch`."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState

    if min(silent_seconds, begin_seconds, pause_seconds) < SHORTEST_SECONDS or restarts < 0:
        raise ValueError(f"times are at least {SHORTEST_SECONDS} seconds, restarts at least 0")
    crashed, cancelled = StateType.CRASHED, StateType.CANCELLED
    silent = f"No sign of life for {silent_seconds} s."
    made = [
        _missing(
            f"{project}: a silent run is crashed",
            project,
            after=[HEARTBEAT],
            expect=[HEARTBEAT, *_states(*ENDED, *AT_REST)],
            seconds=silent_seconds,
            action=ChangeFlowRunState(state=crashed, message=silent),
        ),
        _missing(
            f"{project}: a run that never begins is crashed",
            project,
            after=_states(*HANDED_OVER),
            expect=[HEARTBEAT, *_states(*ENDED, *AT_REST)],
            seconds=begin_seconds,
            action=ChangeFlowRunState(state=crashed, message=NEVER_BEGAN),
        ),
        _missing(
            f"{project}: a cancelled run without a worker is cancelled",
            project,
            after=_states("Cancelling"),
            expect=_states(*ENDED),
            seconds=silent_seconds,
            action=ChangeFlowRunState(state=cancelled, message=silent),
        ),
    ]
    if restarts:
        # Prefect counts how often a run has run; the count is a label of its events.
        counted = [str(count) for count in range(1, restarts + 1)]
        again = ChangeFlowRunState(
            state=StateType.SCHEDULED, name="AwaitingRetry", message="It crashed, and begins again."
        )
        for name, labels in (
            (CRASHED_AGAIN, {COUNT: counted}),
            (NEVER_BEGAN_AGAIN, {COUNT: ["0"], MESSAGE: [NEVER_BEGAN]}),
        ):
            made.append(
                _missing(
                    f"{project}: {name}",
                    project,
                    after=_states("Crashed"),
                    expect=_states(*ENDED[:-1], *AT_REST, *BEGUN),
                    seconds=pause_seconds,
                    action=again,
                    labels=labels,
                )
            )
    return tuple(made)


def _restarting(project: str) -> set[str]:
    """Names of the automations that are there only if restarts are wanted."""
    return {f"{project}: {name}" for name in (CRASHED_AGAIN, NEVER_BEGAN_AGAIN)}


def _missing(
    name: str,
    project: str,
    *,
    after: list[str],
    expect: list[str],
    seconds: int,
    action: Any,
    labels: Mapping[str, list[str]] | None = None,
) -> "AutomationCore":
    """Something is done about each run that nothing is heard of for a time."""
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    runs = {"prefect.resource.id": ["prefect.flow-run.*"], **(labels or {})}
    return AutomationCore(
        name=name,
        description="Made by the deployment of the project.",
        trigger=EventTrigger(
            after=set(after),
            expect=set(expect),
            match=ResourceSpecification(runs),
            match_related=_of(project),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=seconds),
        ),
        actions=[action],
    )


def _of(project: str) -> Any:
    from prefect.events.schemas.events import ResourceSpecification

    tag = f"prefect.tag.{project_tag(project)}"
    return ResourceSpecification({"prefect.resource.id": [tag], "prefect.resource.role": ["tag"]})


def _states(*names: str) -> list[str]:
    return [f"prefect.flow-run.{name}" for name in names]


def _apply(client: "SyncPrefectClient", wanted: "AutomationCore") -> None:
    found = client.read_automations_by_name(wanted.name)
    for superfluous in found[1:]:
        client.delete_automation(superfluous.id)
    if not found:
        client.create_automation(wanted)
    elif (found[0].trigger, found[0].actions) != (wanted.trigger, wanted.actions):
        client.update_automation(
            found[0].id, wanted.model_copy(update={"enabled": found[0].enabled})
        )
