"""Is the record true? Walks the ledger's rows and holds them against checkpoints. Pure.

Found, each with the first entry that is wrong: an edited field, a deleted row, swapped rows, a cut
tail, a chain that was written anew, a forged checkpoint. Whatever lies in a row, there is a
verdict. What nobody outside the database vouches for is not called true: a ledger with entries and
without a checkpoint does not verify.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlops_tasks.governance.checkpoints import Checkpoint
from mlops_tasks.governance.events import START, Row, hash_of, said_by

UNLINKED = "it does not follow the entry before it: one of the two was replaced"
MISPLACED = "it does not follow the entry before it: it holds what another number said"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`first_bad` is the number of the first entry that cannot be trusted; None if all can.

    `entries` were read; `vouched` of them are covered by a signed checkpoint.
    """

    true: bool
    entries: int
    vouched: int
    first_bad: int | None = None
    reason: str = ""


def verify(
    rows: Iterable[Row], checkpoints: Sequence[Checkpoint], forged: Sequence[str] = ()
) -> Verdict:
    """Check every hash, every link and every checkpoint.

    Parameters
    ----------
    rows
        All rows in the order of `seq`.
    checkpoints
        Those whose signature was found good, in any order.
    forged
        What was said of the others; one is enough to refuse.
    """
    heads: dict[int, str] = {}
    for each in checkpoints:
        if heads.setdefault(each.length, each.head) != each.head:
            return Verdict(False, 0, 0, each.length, "two checkpoints of one length disagree")
    entries, vouched, prev, at, stray = 0, 0, START, "", False
    for row in rows:
        if type(row.seq) is not int or row.seq < 1:
            stray = True  # it sorts before or after all entries: the one it was is missed there
            continue
        wrong, at_now = _fault(row, entries + 1, prev, at)
        if wrong == UNLINKED and entries > vouched:  # nobody says which of the two is genuine
            reason = f"it or entry {entries + 1} was replaced: they do not hang together"
            return Verdict(False, entries, vouched, entries, reason)
        if wrong:
            return Verdict(False, entries, vouched, entries + 1, wrong)
        entries, prev, at = entries + 1, row.hash, at_now
        if entries in heads:
            if heads[entries] != prev:
                return Verdict(
                    False,
                    entries,
                    vouched,
                    vouched + 1,
                    f"entries {vouched + 1} to {entries} were written anew: "
                    f"the checkpoint of length {entries} saw others",
                )
            vouched = entries
    longest = max(heads, default=0)
    if longest > entries:
        reason = f"the tail is cut: a checkpoint saw {longest} entries, there are {entries}"
        return Verdict(False, entries, vouched, entries + 1, reason)
    if stray:
        reason = "a row has no number that an entry can have"
        return Verdict(False, entries, vouched, entries + 1, reason)
    if forged:
        return Verdict(False, entries, vouched, vouched + 1, f"a checkpoint is forged: {forged[0]}")
    if entries and not vouched:
        return Verdict(False, entries, 0, 1, "no checkpoint outside the database vouches for it")
    return Verdict(True, entries, vouched)


def _fault(row: Row, seq: int, prev: str, at: str) -> tuple[str, str]:
    """What is wrong with the row that should be number `seq`, if anything, and its time."""
    if row.seq != seq:
        return f"entry {seq} is missing: the next one is {row.seq}", ""
    try:
        if hash_of(row.line) != row.hash:
            return "its content was edited: the hash is that of another", ""
        raw = said_by(row.line)
    except (ValueError, TypeError, AttributeError):
        return "it cannot be read", ""
    event, now = raw["event"], raw["at"]
    if raw["prev"] != prev:
        return UNLINKED if raw["seq"] == seq else MISPLACED, ""
    said = (
        raw["seq"],
        now,
        event["actor"],
        event["action"],
        event["subject"],
        event["outcome"],
        event["once"] or None,
    )
    columns = (row.seq, row.at, row.actor, row.action, row.subject, row.outcome, row.once)
    if said != columns:
        return "a column was edited: it does not say what the entry says", ""
    if now < at:
        return "it is older than the entry before it", ""
    return "", now
