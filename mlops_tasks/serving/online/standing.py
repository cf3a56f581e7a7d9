"""Who answers now: the champion, a canary for some of the keys, a shadow for nobody.

A `Standing` never changes; a server holds one at a time, so each request sees one.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_tasks.serving.online.loading import Served
from mlops_tasks.serving.prediction_log.records import Role
from mlops_tasks.serving.traffic.split import choose, salt_of

if TYPE_CHECKING:
    from mlops_tasks.serving.traffic.shadow import Shadow


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A version that is asked off the path of the answers."""

    served: Served
    shadow: "Shadow" = field(compare=False)


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
