"""Is a model that was made again the same? Two pieces of evidence, side by side. Pure.

Guarantee, held by a test: without a tolerance only the very same model file with the very same
metrics agrees; with one, the metrics alone decide, each end of each interval included.
"""

from dataclasses import dataclass

from mlops_tasks.artifacts import Evidence, Interval


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was recorded and what it is now. `decides`: a difference is a failure."""

    what: str
    recorded: str
    reproduced: str
    agrees: bool
    decides: bool


def findings(
    recorded: Evidence, again: Evidence, config: str, tolerance: float = 0.0
) -> tuple[Finding, ...]:
    """Hold two pieces of evidence against each other.

    Parameters
    ----------
    recorded, again
        What is on record, and what came out now.
    config
        The digest of the configuration that was used now.
    tolerance
        How far a metric, and each end of its interval, may be from the recorded one.
    """
    was, now = recorded.lineage, again.lineage
    digests = (
        ("candidate", recorded.candidate.digest, again.candidate.digest, tolerance == 0.0),
        ("data", was.data_digest, now.data_digest, False),
        ("training rows", recorded.candidate.train.digest, again.candidate.train.digest, False),
        ("config", was.config_digest, config, False),
        ("code", was.code_digest, now.code_digest, False),
        ("environment", was.environment_digest, now.environment_digest, False),
    )
    old, new = recorded.evaluation.metrics, again.evaluation.metrics
    metrics = [
        Finding(
            name,
            _told(old.get(name)),
            _told(new.get(name)),
            _near(old.get(name), new.get(name), tolerance),
            decides=True,
        )
        for name in dict.fromkeys([*old, *new])
    ]
    same = [Finding(what, a, b, a == b, decides) for what, a, b, decides in digests]
    return (*same, *metrics)


def agree(found: tuple[Finding, ...]) -> bool:
    """Whether everything that decides is the same."""
    deciding = [each.agrees for each in found if each.decides]
    return bool(deciding) and all(deciding)


def _near(one: Interval | None, other: Interval | None, tolerance: float) -> bool:
    if one is None or other is None:
        return False
    pairs = ((one.value, other.value), (one.low, other.low), (one.high, other.high))
    return all(abs(a - b) <= tolerance for a, b in pairs)


def _told(found: Interval | None) -> str:
    return f"{found.value!r} [{found.low!r}, {found.high!r}]" if found else "none"
