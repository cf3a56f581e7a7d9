"""Requests and votes on record: opened, signed and counted in the ledger of a stack.

What makes them count stands in `approvals`; what is done with an approved one in
`registry.promotion`. Everything is read back from the ledger and checked anew at each use: the
signatures against today's allowed signers, the digests against today's policy. What somebody else
wrote into the ledger as a request or vote and is none counts as nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlops_tasks.boundaries import boundary
from mlops_tasks.encoding import digest
from mlops_tasks.errors import ApprovalRefused
from mlops_tasks.governance.approvals import (
    Choice,
    Request,
    Standing,
    Vote,
    objection,
    statement,
    tally,
)
from mlops_tasks.governance.events import Entry, Event
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import actor, ledger_of, record, witness
from mlops_tasks.governance.ssh_signatures import Signer, principals_of, sign, signer_of
from mlops_tasks.settings.schema import Settings

REQUEST = "approval.request"
VOTE = "approval.vote"
PROMOTION = "promotion"
FLOW_RUN = "flow_run"


@dataclass(frozen=True, slots=True)
class Filed:
    """A request as it stands, and the flow run that waits for it, if one does."""

    request: Request
    standing: Standing
    flow_run: str = ""


def policy_digest(root: Path, settings: Settings) -> str:
    """SHA-256 of the policy, of what its limits are measured in and on, and of who may sign.

    How many resamples are drawn is not in it: it decides how exact an interval is, not what it is.
    """
    signers = root / settings.policy.approval.allowed_signers
    content = signers.read_text(encoding="utf-8") if signers.is_file() else ""
    measured = settings.evaluation
    terms = [measured.primary, measured.slices, measured.confidence]
    return digest([settings.policy, terms, content])


def open_request(root: Path, settings: Settings, request: Request, flow_run: str = "") -> Filed:
    """Put a request on record; one that binds the same things and is still open is used again."""
    for filed in requests_of(root, settings, request.model):
        if filed.standing.state in ("waiting", "approved") and _same(filed.request, request):
            return filed
    bound = {
        "request": request.id,
        "candidate": request.candidate,
        "evidence": request.evidence,
        "policy": request.policy,
        "champion": request.champion,
    }
    facts = {
        "source": request.source,
        "version": str(request.version),
        "authors": json.dumps(request.authors),
        "opened": request.opened,
        "expires": request.expires,
        FLOW_RUN: flow_run,
    }
    event = Event(
        actor(), REQUEST, request.model, "open", digests=bound, facts=facts, once=request.id
    )
    record(settings.stack, event)
    boundary("request opened")
    return Filed(request, standing(root, settings, request), flow_run)


def requests_of(root: Path, settings: Settings, model: str, limit: int = 20) -> list[Filed]:
    """The latest requests for a model, newest first."""
    wanted = Wanted(action=(REQUEST,), subject=model)
    found = []
    for entry in ledger_of(settings.stack).entries(wanted, newest=True, limit=limit):
        request = _request(entry)
        if request is None:
            continue
        flow_run = entry.event.facts.get(FLOW_RUN, "")
        found.append(Filed(request, standing(root, settings, request), flow_run))
    return found


def standing(root: Path, settings: Settings, request: Request) -> Standing:
    """Count the votes of a request now."""
    ledger, rules = ledger_of(settings.stack), settings.policy.approval
    signers = root / rules.allowed_signers
    wanted = Wanted(action=(VOTE, PROMOTION), subject=request.model)
    events = [
        each.event
        for each in ledger.entries(wanted)
        if each.event.digests.get("request") == request.id
    ]

    def signer(vote: Vote) -> Signer | None:
        return _signer(request, vote, signers)

    return tally(
        request,
        [_vote(event) for event in events if event.action == VOTE],
        rules,
        signer,
        now=utc_now(),
        used=any(event.action == PROMOTION and event.outcome == "done" for event in events),
    )


def cast(
    root: Path, settings: Settings, request: Request, choice: Choice, reason: str, key: Path
) -> Standing:
    """Sign a vote and put it on record.

    Raises
    ------
    ApprovalRefused
        If the vote would not count: unknown key, an author, no role, twice, too late.
    """
    rules = settings.policy.approval
    signers = root / rules.allowed_signers
    before = standing(root, settings, request)
    if before.state not in ("waiting", "approved"):
        raise _refused(f"the request is {before.state}", request, "open a new one: `mlops promote`")
    if request.policy != policy_digest(root, settings):
        raise _refused(
            "the policy or the allowed signers were edited since the request",
            request,
            "open a new one: `mlops promote`",
        )
    signed = statement(request, choice, reason)
    signature = sign(signed, key)
    names = principals_of(signature, signers)
    principal = names[0] if names else ""
    found = _signer(request, Vote(request.id, principal, choice, reason, signature), signers)
    if why := objection(request, principal, rules, found):
        who = principal or str(key)
        raise _refused(f"the vote of {who} does not count: {why}", request, f"see {signers}")
    if choice == "yes" and principal in before.yes:
        raise _refused(f"{principal} has voted already", request, "ask another person")
    event = Event(
        principal,
        VOTE,
        request.model,
        choice,
        reason=reason,
        digests={"request": request.id, "candidate": request.candidate},
        facts={"signature": signature},
        once=f"vote:{request.id}:{digest(signature)}",
    )
    record(settings.stack, event)
    boundary("vote recorded")
    witness(settings.stack)
    boundary("vote witnessed")
    return standing(root, settings, request)


def utc_now() -> str:
    """ISO, with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _signer(request: Request, vote: Vote, signers: Path) -> Signer | None:
    """Whose key signed a vote; an author's key stays the author's under every name."""
    signed = statement(request, vote.choice, vote.reason)
    for name in (*request.authors, vote.principal):
        if found := signer_of(signed, vote.signature, name, signers):
            return found
    return None


def _request(entry: Entry) -> Request | None:
    """What `open_request` wrote, or None."""
    bound, facts = entry.event.digests, entry.event.facts
    try:
        request = Request(
            model=entry.event.subject,
            source=facts["source"],
            version=int(facts["version"]),
            candidate=bound["candidate"],
            evidence=bound["evidence"],
            policy=bound["policy"],
            champion=bound["champion"],
            authors=tuple(str(name) for name in json.loads(facts["authors"])),
            opened=facts["opened"],
            expires=facts["expires"],
        )
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    return request if bound.get("request") == request.id else None


def _vote(event: Event) -> Vote:
    choice: Choice = "yes" if event.outcome == "yes" else "no"
    signature = event.facts.get("signature", "")
    return Vote(event.digests["request"], event.actor, choice, event.reason, signature)


def _same(one: Request, other: Request) -> bool:
    """Whether two requests bind the same things, whenever they were opened."""
    return digest(_bound(one)) == digest(_bound(other))


def _bound(request: Request) -> Sequence[object]:
    kept = asdict(request)
    return [kept[name] for name in sorted(kept) if name not in ("opened", "expires")]


def _refused(what: str, request: Request, next_step: str) -> ApprovalRefused:
    where = f"{request.model}, request {request.id[:12]}"
    return ApprovalRefused(what, where=where, next_step=next_step)
