"""Start, widen, hold and withdraw a canary or a shadow: each step an event, checked, one at a time.

Which version may be started is the affair of `trust`, how a step is written that of `steps`.

Guarantees, each held by a test: steps of several people at once come one after the other, each
decided on the split that it changes; a canary only grows, and neither by widening nor by starting
again beyond the share at which the newest clear comparison on record found it worse; the same step
again changes nothing; what is refused changes nothing and is on record; to hold or withdraw, the
ledger is enough.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.registry.cases import digest_of
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.models import CHAMPION, by_alias
from mlops_tasks.serving.traffic.findings import speaks_against
from mlops_tasks.serving.traffic.state import Recorded, Traffic
from mlops_tasks.serving.traffic.steps import Steered, Step, take
from mlops_tasks.serving.traffic.trust import Admitted, admit_canary, admit_shadow, refused
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def start_canary(
    root: Path, settings: Settings, version: int, weight: float, *, reason: str = ""
) -> Steered:
    """Let a version answer a share of the keys.

    Parameters
    ----------
    root
        The project's folder: its allowed signers count.
    settings
        The model is that of the stack's stage.
    version
        Of that model.
    weight
        The share, in (0, 1].
    reason
        Goes on record.

    Raises
    ------
    PromotionRefused
        If another canary runs, the version is champion or not approved, there is no champion, or
        the version was found worse than it at a smaller share.
    AlteredObject
        If it is not, in every byte, what the gate let in.
    RegistryError
        If there is no such version, or the registry does not answer.
    """
    client = connect(settings.stack)

    def plan(now: Recorded) -> Step | None:
        _require_share(settings, weight)
        running = now.traffic
        if (running.canary_version, running.canary_weight) == (version, weight):
            return None
        if running.canary_version is not None:
            raise refused(
                settings,
                f"version {running.canary_version} is the canary, at {running.canary_weight:g}",
                "`mlops canary widen` or `mlops canary withdraw`",
            )
        admitted = admit_canary(client, root, settings, version)
        _require_not_worse(client, settings, admitted, weight)
        after = replace(running, canary_version=version, canary_weight=weight)
        return Step("started", after, _canary(after, admitted), admitted.digests)

    return take(settings, "canary", plan, reason, client)


def widen_canary(root: Path, settings: Settings, weight: float, *, reason: str = "") -> Steered:
    """Let the canary answer a larger share of the keys; those that it has, it keeps.

    Raises
    ------
    PromotionRefused
        If there is none, the share is smaller, its approval does not count any more, or the newest
        clear comparison with this champion says that it is worse.
    AlteredObject
        If it is not, in every byte, what the gate let in.
    """
    client = connect(settings.stack)

    def plan(now: Recorded) -> Step | None:
        _require_share(settings, weight)
        version = _running_canary(settings, now.traffic)
        if weight == now.traffic.canary_weight:
            return None
        if weight < now.traffic.canary_weight:
            raise refused(
                settings,
                f"a canary only grows, and it is at {now.traffic.canary_weight:g}",
                "to narrow it, `mlops canary withdraw` and start it again: it gets the same keys",
            )
        admitted = admit_canary(client, root, settings, version)
        _require_not_worse(client, settings, admitted, weight)
        after = replace(now.traffic, canary_weight=weight)
        return Step("widened", after, _canary(after, admitted), admitted.digests)

    return take(settings, "canary", plan, reason, client)


def hold_canary(settings: Settings, *, reason: str = "") -> Steered:
    """Put on record that the canary stays at its share, until somebody decides otherwise.

    Raises
    ------
    PromotionRefused
        If there is none.
    """

    def plan(now: Recorded) -> Step | None:
        _running_canary(settings, now.traffic)
        if now.entry and now.entry.event.outcome == "held":
            return None
        return Step("held", now.traffic, _canary(now.traffic))

    return take(settings, "canary", plan, reason)


def withdraw_canary(settings: Settings, *, reason: str = "") -> Steered:
    """Let the champion answer all again, at the servers' next look."""

    def plan(now: Recorded) -> Step | None:
        if now.traffic.canary_version is None:
            return None
        return Step("withdrawn", now.traffic.without_canary, _canary(now.traffic))

    return take(settings, "canary", plan, reason)


def start_shadow(settings: Settings, version: int, *, reason: str = "") -> Steered:
    """Let a version be asked what the champion is asked; its answers are only logged.

    Raises
    ------
    PromotionRefused
        If another shadow runs, the version answers already, or there is no champion.
    AlteredObject
        If it is not, in every byte, what the gate let in.
    RegistryError
        If there is no such version, or the registry does not answer.
    """
    client = connect(settings.stack)

    def plan(now: Recorded) -> Step | None:
        running = now.traffic
        if running.shadow_version == version:
            return None
        if running.shadow_version is not None:
            raise refused(
                settings,
                f"version {running.shadow_version} is the shadow",
                "`mlops shadow withdraw` first",
            )
        admitted = admit_shadow(client, settings, version)
        after = replace(running, shadow_version=version)
        return Step("started", after, {"version": str(version)}, admitted.digests)

    return take(settings, "shadow", plan, reason, client)


def withdraw_shadow(settings: Settings, *, reason: str = "") -> Steered:
    """Ask the shadow no more."""

    def plan(now: Recorded) -> Step | None:
        if now.traffic.shadow_version is None:
            return None
        after = replace(now.traffic, shadow_version=None)
        return Step("withdrawn", after, {"version": str(now.traffic.shadow_version)})

    return take(settings, "shadow", plan, reason)


def _running_canary(settings: Settings, traffic: Traffic) -> int:
    if traffic.canary_version is None:
        raise refused(
            settings,
            "there is no canary (a promotion or a rollback ends it)",
            "`mlops canary start VERSION --weight 0.1`",
        )
    return traffic.canary_version


def _require_not_worse(
    client: "MlflowClient", settings: Settings, admitted: Admitted, share: float
) -> None:
    champion = digest_of(settings.stack, by_alias(client, settings.registered_model, CHAMPION))
    if worse := speaks_against(settings, admitted.digests["candidate"], champion, share):
        raise refused(
            settings,
            worse,
            "leave it at its share or in the shadow, and compare it again with more labels",
        )


def _require_share(settings: Settings, weight: float) -> None:
    if not 0 < weight <= 1:
        raise refused(
            settings, f"{weight} is not a share of the traffic", "give one above 0 and up to 1"
        )


def _canary(traffic: Traffic, admitted: Admitted | None = None) -> dict[str, str]:
    facts = {"version": str(traffic.canary_version), "weight": repr(traffic.canary_weight)}
    return facts | ({"approved_by": admitted.approved_by} if admitted else {})
