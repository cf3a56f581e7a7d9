"""Which versions may answer callers as a canary, or be asked in the shadow.

A canary answers callers, so it must be as trustworthy as a champion: let in by the gate, unaltered,
and, in a stage where a promotion needs people, approved by them for this very model (or champion
there once before). A shadow answers nobody: the gate and the seal are enough.

Guarantee: nothing is admitted without a signature, a registration on record and a champion beside
which it runs; an approval counts only as long as a promotion could use it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.governance.requests import policy_digest, requests_of
from mlops_tasks.registry.cases import digest_of
from mlops_tasks.registry.history import reigns
from mlops_tasks.registry.models import CHAMPION, by_alias, by_number, number_of
from mlops_tasks.registry.release import Release, open_release
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

BY_POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A verified version, and who said yes to it."""

    release: Release
    approved_by: str

    @property
    def digests(self) -> dict[str, str]:
        """What an event about it is bound to."""
        candidate = self.release.evidence.candidate.digest
        return {"candidate": candidate, "evidence": self.release.evidence_digest}


def admit_canary(client: "MlflowClient", root: Path, settings: Settings, version: int) -> Admitted:
    """Verify that a version may answer callers of the stack's stage.

    Raises
    ------
    PromotionRefused
        If it is champion, there is none, or it is not approved.
    AlteredObject
        If it is not, in every byte, what the gate let in.
    RegistryError
        If there is no such version.
    """
    shadow = admit_shadow(client, settings, version)
    return Admitted(shadow.release, _approved_by(client, root, settings, shadow.release))


def admit_shadow(client: "MlflowClient", settings: Settings, version: int) -> Admitted:
    """Verify that a version may be asked beside the champion.

    Raises
    ------
    PromotionRefused
        If it is champion, or there is none.
    AlteredObject
        If it is not, in every byte, what the gate let in.
    RegistryError
        If there is no such version.
    """
    model = settings.registered_model
    champion = number_of(by_alias(client, model, CHAMPION))
    if champion is None:
        raise refused(settings, "there is no champion to run beside", "`mlops promote` makes one")
    if champion == version:
        raise refused(settings, f"version {version} is champion", "name another version")
    release = open_release(client, settings.stack, by_number(client, model, version))
    return Admitted(release, BY_POLICY)


def refused(settings: Settings, why: str, next_step: str) -> PromotionRefused:
    """The error that says no, about the model of the stack's stage."""
    return PromotionRefused(why, where=settings.registered_model, next_step=next_step)


def _approved_by(client: "MlflowClient", root: Path, settings: Settings, release: Release) -> str:
    stack, model = settings.stack, settings.registered_model
    if stack.stage in settings.policy.approval.automatic:
        return BY_POLICY
    candidate = release.evidence.candidate.digest
    for reign in reigns(ledger_of(stack), model):
        if reign.candidate == candidate:
            return ", ".join(reign.approved_by) or reign.actor
    champion = digest_of(stack, by_alias(client, model, CHAMPION))
    bound = (candidate, policy_digest(root, settings), champion)
    for filed in requests_of(root, settings, model):
        asked = filed.request
        if (asked.candidate, asked.policy, asked.champion) == bound and filed.standing.approved:
            return ", ".join(filed.standing.yes)
    raise refused(
        settings,
        f"version {release.version} is not approved for {stack.stage}: a canary answers callers",
        f"`mlops promote --version {release.version}` asks for it; a shadow needs no approval",
    )
