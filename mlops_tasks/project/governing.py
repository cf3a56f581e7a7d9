"""What a person asks of the governance of a project: vote on a request, say who was champion when.

The rules are in `governance` and `registry`; here they meet the project's folder and a terminal's
words. Nothing here asks a question: signing is the confirmation.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlops_tasks.errors import ApprovalRefused, SettingsError
from mlops_tasks.governance.approvals import Choice, Request, Standing
from mlops_tasks.governance.requests import Filed, cast, requests_of
from mlops_tasks.governance.ssh_signatures import own_key
from mlops_tasks.settings.approval import Stage
from mlops_tasks.settings.schema import Settings, registered_name

STAGES: tuple[Stage, ...] = ("dev", "staging", "prod")


def named(settings: Settings, model: str | None) -> str:
    """The registered model of this name, or that of the stack's stage.

    Raises
    ------
    SettingsError
        If the project has no such model.
    """
    allowed = [registered_name(settings.project, stage) for stage in STAGES]
    chosen = model or settings.registered_model
    if chosen not in allowed:
        raise SettingsError(
            f"this project has no model {chosen!r}",
            where="the model's name",
            next_step=f"choose from {', '.join(allowed)}",
        )
    return chosen


def models(settings: Settings, model: str | None) -> tuple[str, ...]:
    """The model that is named, or those of all stages."""
    if model is not None:
        return (named(settings, model),)
    return tuple(registered_name(settings.project, stage) for stage in STAGES)


def stage_named(text: str | None) -> Stage | None:
    """The stage of this name.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if text is None:
        return None
    for stage in STAGES:
        if text == stage:
            return stage
    raise SettingsError(
        f"there is no stage {text!r}", where="--to", next_step=f"choose from {', '.join(STAGES)}"
    )


def pending(root: Path, settings: Settings, models: Sequence[str], request: str | None) -> Filed:
    """The newest request that waits, or the one whose id begins with `request`.

    Raises
    ------
    ApprovalRefused
        If there is none, or more than one fits.
    """
    filed = [each for model in models for each in requests_of(root, settings, model)]
    if request:
        found = [each for each in filed if each.request.id.startswith(request)]
    else:
        found = [each for each in filed if each.standing.state in ("waiting", "approved")]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"{each.request.id[:12]} ({each.request.model})" for each in found)
        raise ApprovalRefused(
            "more than one request fits", where=ids, next_step="name one with --request"
        )
    raise ApprovalRefused(
        "there is no request that waits",
        where=", ".join(models),
        next_step="`mlops promote` opens one; see `mlops audit log --action approval.request`",
    )


def vote(
    root: Path, settings: Settings, request: Request, choice: Choice, reason: str, key: Path | None
) -> Standing:
    """Sign and record a vote; with the key that git signs with where none is named."""
    return cast(root, settings, request, choice, reason, key or own_key())


def moment(text: str, *, end: bool = True) -> str:
    """A time as the ledger writes it; a date means its end (or its start), no zone means UTC.

    Raises
    ------
    SettingsError
        If it is not an ISO date or time.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{text!r} is not a time", where="ISO 8601", next_step="write it like 2026-03-03T12:00"
        ) from error
    if end and len(text) == len("2026-03-03"):
        at += timedelta(days=1) - timedelta(microseconds=1)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")
