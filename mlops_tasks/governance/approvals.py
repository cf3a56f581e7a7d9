"""Requests and votes: when do enough people agree to let this very model in? Pure.

A request binds the model, the candidate's digest, the digest of the evidence and of the policy, the
champion that is expected to be there, the authors and the hour at which it ends. People sign the
request together with their vote. `tally` is asked again whenever an approval is used.

Guarantees, each held by a test: only signatures that verify count; nobody counts twice, by name or
by key; an author does not count; a single no is a no; after the hour it is a no, and so is a
request that was given a later hour than the policy gives; a request is used once.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

from mlops_tasks.encoding import digest
from mlops_tasks.governance.ssh_signatures import Signer
from mlops_tasks.settings.approval import ApprovalSettings

Choice = Literal["yes", "no"]
State = Literal["approved", "waiting", "rejected", "expired", "used"]
NO_CHAMPION = "none"
CLOCKS_APART = timedelta(minutes=5)  # of whoever opened it and of us


@dataclass(frozen=True, slots=True)
class Request:
    """What people are asked to sign.

    `model` is the name in the registry that would get a new champion; `source` and `version` say
    where the model lies now. `champion` is the digest of the one it would replace, or "none".
    Times are ISO in UTC.
    """

    model: str
    source: str
    version: int
    candidate: str
    evidence: str
    policy: str
    champion: str
    authors: tuple[str, ...]
    opened: str
    expires: str

    @property
    def id(self) -> str:
        """SHA-256 of everything above."""
        return digest(self)


@dataclass(frozen=True, slots=True)
class Vote:
    """A signed yes or no to a request."""

    request: str
    principal: str
    choice: Choice
    reason: str
    signature: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a request stands: who said yes, how many are needed, and which votes do not count."""

    state: State
    yes: tuple[str, ...]
    needed: int
    ignored: tuple[str, ...] = ()

    @property
    def approved(self) -> bool:
        """Whether it may be used now."""
        return self.state == "approved"

    @property
    def summary(self) -> str:
        """One line."""
        votes = f"{len(self.yes)} of {self.needed} approvals"
        notes = f"; {'; '.join(self.ignored)}" if self.ignored else ""
        return f"{self.state}, {votes}{notes}"


def statement(request: Request, choice: Choice, reason: str) -> bytes:
    """The bytes that a person signs: canonical JSON (RFC 8785) of request and vote."""
    import rfc8785

    plain = asdict(request) | {"authors": list(request.authors)}
    return rfc8785.dumps({"request": plain, "vote": choice, "reason": reason})


def tally(
    request: Request,
    votes: Sequence[Vote],
    rules: ApprovalSettings,
    signer: Callable[[Vote], Signer | None],
    *,
    now: str,
    used: bool,
) -> Standing:
    """Count the votes of a request.

    Parameters
    ----------
    request
        What was asked.
    votes
        All that were cast, in order.
    rules
        Quorum and roles.
    signer
        Whose key signed a vote, or None where the signature is not good.
    now
        ISO time in UTC.
    used
        Whether a promotion was made with this request before.
    """
    yes: dict[str, str] = {}
    ignored, rejected = [], False
    for vote in votes:
        found = signer(vote) if vote.request == request.id else None
        why = objection(request, vote.principal, rules, found)
        if found is None or why:
            ignored.append(f"the vote of {vote.principal} does not count: {why}")
        elif vote.choice == "no":
            rejected = True
        elif found.principal in yes or found.fingerprint in yes.values():
            ignored.append(f"{vote.principal} has voted already")
        else:
            yes[vote.principal] = found.fingerprint
    state: State = "approved" if len(yes) >= rules.quorum else "waiting"
    if _over(request, rules, now):
        state = "expired"
    if rejected:
        state = "rejected"
    if used:
        state = "used"
    return Standing(state, tuple(yes), rules.quorum, tuple(ignored))


def _over(request: Request, rules: ApprovalSettings, now: str) -> bool:
    """Whether its hour is past, or so far off that nobody who keeps to the policy has set it."""
    try:
        left = datetime.fromisoformat(request.expires) - datetime.fromisoformat(now)
    except (ValueError, TypeError):  # TypeError: without a zone
        return True
    return not timedelta(0) < left <= timedelta(hours=rules.expires_hours) + CLOCKS_APART


def objection(
    request: Request, principal: str, rules: ApprovalSettings, found: Signer | None
) -> str:
    """Why this person's vote on this request does not count; empty if it does."""
    if found is None:
        return "it is not signed with a key that the allowed signers list for that name"
    authors = {author.casefold() for author in request.authors}
    if authors & {principal.casefold(), found.principal.casefold()}:
        return "an author of the model does not approve it"
    if found.principal != principal:
        return "it is signed with a key of another name"
    if not set(rules.people.get(principal, ())) & set(rules.roles):
        return f"the policy gives none of the roles {', '.join(rules.roles)}"
    return ""
