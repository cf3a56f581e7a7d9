"""Who answers now: the champion, a canary for some of the keys, a shadow for nobody.

A `Standing` never changes; a server holds one at a time, so each request sees one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_tasks.serving.online.loading import Served
from mlops_tasks.serving.online.options import Options
from mlops_tasks.serving.prediction_log.records import Role
from mlops_tasks.serving.traffic.shadow import Shadow
from mlops_tasks.serving.traffic.split import choose, salt_of

if TYPE_CHECKING:
    from mlops_tasks.serving.prediction_log.records import Answered


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A version that is asked off the path of the answers."""

    served: Served
    shadow: Shadow = field(compare=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """The versions of one moment. Without a champion there is neither canary nor shadow."""

    champion: Served | None = None
    canary: Served | None = None
    canary_weight: float = 0.0
    shadowed: Shadowed | None = None

    def answering(self, key: str) -> tuple[Served, Role] | None:
        """Which version answers a request with this key; None where none does."""
        if self.champion is None:
            return None
        canary = self.canary
        if canary and choose(key, self.canary_weight, salt_of(canary.model, canary.version)):
            return canary, "canary"
        return self.champion, "champion"


def begin(served: Served, log: "Callable[[Answered], None]", options: Options) -> Shadowed:
    """Let a version be asked, and what it says be logged."""
    shadow = Shadow(
        served.predictor,
        log,
        version=served.version,
        digest=served.digest,
        names=served.schema.names,
        seconds=options.shadow_seconds,
        waiting=options.shadow_waiting,
    )
    return Shadowed(served, shadow)


def changes(before: Standing, after: Standing) -> Iterator[str]:
    """What is different now, for a person."""
    champion, canary, shadowed = after.champion, after.canary, after.shadowed
    if champion and champion is not before.champion:
        why = f" ({champion.slow_because})" if champion.slow_because else ""
        yield f"version {champion.version} answers now, {champion.predictor.kind}{why}"
    if canary is not before.canary or after.canary_weight != before.canary_weight:
        share = f"version {canary.version}, {after.canary_weight:.1%}" if canary else "none"
        yield f"canary: {share}"
    if shadowed is not before.shadowed:
        yield f"shadow: version {shadowed.served.version}" if shadowed else "shadow: none"
