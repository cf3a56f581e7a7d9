"""The count of votes, against a slow and obvious one."""

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.governance.approvals import Request, Vote, objection, tally
from mlops_tasks.governance.ssh_signatures import Signer
from mlops_tasks.settings.approval import ApprovalSettings

MODEL = "demo.prod"
NAMES = ("ada", "bob", "cyd", "dan", "Ada")
KEYS = ("k1", "k2", "k3", "")
ASKED = Request(
    MODEL, "demo", 1, "c" * 64, "e" * 64, "p" * 64, "none", ("dan",), "2026-01-01", "2026-01-02"
)
VOTES = st.lists(
    st.builds(
        Vote,
        st.sampled_from((ASKED.id, "another")),
        st.sampled_from(NAMES),
        st.sampled_from(("yes", "yes", "yes", "no")),
        st.just(""),
        st.sampled_from(KEYS),
    ),
    max_size=8,
)


@given(
    votes=VOTES,
    quorum=st.integers(1, 3),
    authors=st.sets(st.sampled_from(NAMES)),
    now=st.sampled_from(("2026-01-01T12", "2026-01-01T23:59", "2026-01-02", "2026-01-03")),
    hours=st.sampled_from((72.0, 12.0, 11.0, 0.1)),
    used=st.booleans(),
)
def test_tally_is_the_slow_count(
    votes: list[Vote], quorum: int, authors: set[str], now: str, hours: float, used: bool
) -> None:
    people = {"ada": ("owner",), "bob": ("owner", "x"), "cyd": ("x",), "dan": ("owner",)}
    rules = ApprovalSettings(quorum=quorum, people=people, expires_hours=hours)
    request = dataclasses.replace(ASKED, authors=tuple(authors))
    votes = [
        dataclasses.replace(each, request=request.id) if each.request == ASKED.id else each
        for each in votes
    ]

    found = tally(request, votes, rules, _signed, now=now, used=used)

    assert (found.state, found.yes) == _slow(request, votes, rules, now, used)
    assert len(found.yes) + len(found.ignored) + _noes(request, votes, rules) == len(votes)


def _signed(vote: Vote) -> Signer | None:
    return Signer(vote.principal, vote.signature) if vote.signature else None


def _counts(request: Request, vote: Vote, rules: ApprovalSettings) -> bool:
    owner = "owner" in rules.people.get(vote.principal, ())
    author = vote.principal.lower() in [name.lower() for name in request.authors]
    return vote.request == request.id and vote.signature != "" and owner and not author


def _noes(request: Request, votes: Sequence[Vote], rules: ApprovalSettings) -> int:
    return sum(_counts(request, each, rules) and each.choice == "no" for each in votes)


def _slow(
    request: Request, votes: Sequence[Vote], rules: ApprovalSettings, now: str, used: bool
) -> tuple[str, tuple[str, ...]]:
    names, keys = [], []
    for vote in votes:
        fresh = vote.principal not in names and vote.signature not in keys
        if _counts(request, vote, rules) and vote.choice == "yes" and fresh:
            names.append(vote.principal)
            keys.append(vote.signature)
    if used:
        return "used", tuple(names)
    if _noes(request, votes, rules):
        return "rejected", tuple(names)
    minutes_left = {"2026-01-01T12": 12 * 60, "2026-01-01T23:59": 1}.get(now, 0)
    if not 0 < minutes_left <= 60 * rules.expires_hours + 5:
        return "expired", tuple(names)
    return ("approved" if len(names) >= rules.quorum else "waiting"), tuple(names)


@pytest.mark.parametrize(
    "expires", ["9999-12-31", "2026-01-02T00:00:00+00:00", "never", "", "2026-01-04T12:05:01"]
)
def test_an_hour_that_nobody_who_keeps_to_the_policy_sets_is_over(expires: str) -> None:
    request = dataclasses.replace(ASKED, expires=expires)
    votes = [Vote(request.id, "ada", "yes", "", "k1")]
    rules = ApprovalSettings(people={"ada": ("owner",)})

    assert tally(ASKED, [dataclasses.replace(votes[0], request=ASKED.id)], rules, _signed,
                 now="2026-01-01T12", used=False).approved  # fmt: skip
    found = tally(request, votes, rules, _signed, now="2026-01-01T12", used=False)

    assert found.state == "expired"


def test_a_vote_of_a_key_that_is_somebody_elses_does_not_count() -> None:
    rules = ApprovalSettings(people={"ada": ("owner",)})

    assert "another name" in objection(ASKED, "ada", rules, Signer("bob", "k"))
    assert "author" in objection(ASKED, "ada", rules, Signer("dan", "k"))
    assert objection(ASKED, "ada", rules, Signer("ada", "k")) == ""
