"""The shape of the rules of approval: who must say yes before a stage gets a new champion."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Stage = Literal["dev", "staging", "prod"]


class ApprovalSettings(BaseModel):
    """Approvals that a promotion needs.

    `automatic` lists the stages where the gate's yes is enough. Elsewhere `quorum` people must
    sign, each with one of `roles`, none of them an author of the model. `people` maps a principal
    of `allowed_signers` (a file in the project) to roles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    automatic: tuple[Stage, ...] = ()
    quorum: int = Field(default=1, ge=1)
    roles: tuple[str, ...] = ("owner",)
    people: dict[str, tuple[str, ...]] = {}
    expires_hours: float = Field(default=72.0, gt=0.0, le=24.0 * 365)
    allowed_signers: str = "conf/policy/allowed_signers"
