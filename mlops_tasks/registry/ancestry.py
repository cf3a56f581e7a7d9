"""Where a version comes from, and what was done with it: queries over the ledger.

The ledger's registration events are believed, because tags can be edited by anybody; what only the
sealed evidence knows (library version, rows) is told only if the evidence is the one on record.
Nothing here loads a model or checks a signature: that is `release`'s affair. The other direction,
from data to models, is `descendants`.

Guarantees, each held by a test: a version of another stage leads to the same registration as its
source, and tells of both; evidence that was altered is not told from.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_tasks.artifacts import Evidence
from mlops_tasks.encoding import decode
from mlops_tasks.errors import LedgerError, RegistryError, SettingsError
from mlops_tasks.governance.events import Entry
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.governance.requests import REQUEST, VOTE
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.models import CHALLENGER, CHAMPION, PREVIOUS, by_alias, by_number
from mlops_tasks.registry.release import REGISTRATION, bytes_digest, evidence_of
from mlops_tasks.settings.schema import StackSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIASES = (CHAMPION, PREVIOUS, CHALLENGER)


@dataclass(frozen=True, slots=True)
class Step:
    """An event of a version's life, in short."""

    at: str
    actor: str
    action: str
    outcome: str
    subject: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ancestry:
    """All that a version came from, by digest, and what people and policies did with it.

    `trained_as` is the model that the registration names: a version of another stage has the same.
    `sealed` says whether the run's evidence is the one on record; if not, `library`, `dirty` and
    `train_rows` are empty.
    """

    model: str
    version: int
    trained_as: str
    run_id: str
    candidate: str
    evidence: str
    policy: str
    data: str
    train: str
    train_rows: int | None
    dvc_rev: str
    region: str
    seed: str
    git_commit: str
    dirty: bool | None
    config: str
    environment: str
    environment_state: str
    lock: str
    code: str
    library: str
    sealed: bool
    events: tuple[Step, ...]


def parse_version(text: str | None) -> tuple[str | None, str]:
    """`MODEL`, `MODEL@champion` or `MODEL@3` as model and alias or number; both may be left out.

    Raises
    ------
    SettingsError
        If what follows the `@` is neither an alias nor a number.

    Examples
    --------
    >>> parse_version("flight-delay.prod@3"), parse_version(None)
    (('flight-delay.prod', '3'), (None, 'champion'))
    """
    model, at, which = (text or "").partition("@")
    chosen = which if at else CHAMPION
    if chosen not in ALIASES and not re.fullmatch("[1-9][0-9]{0,8}", chosen):
        raise SettingsError(
            f"{chosen!r} is neither an alias nor a version",
            where=str(text),
            next_step=f"choose from {', '.join(ALIASES)} or a number, as in flight-delay@3",
        )
    return model or None, chosen


def find_version(client: "MlflowClient", model: str, which: str) -> "ModelVersion":
    """The version behind an alias, or of a number.

    Raises
    ------
    RegistryError
        If there is none.
    """
    if which not in ALIASES:
        return by_number(client, model, int(which))
    found = by_alias(client, model, which)
    if found is None:
        raise RegistryError(
            f"there is no {which}",
            where=model,
            next_step="`mlops history` shows what there is; name a version as in MODEL@3",
        )
    return found


def ancestry(stack: StackSettings, model: str, which: str) -> Ancestry:
    """Where a version comes from.

    Parameters
    ----------
    stack
        Where registry and ledger are.
    model
        Name of the registered model.
    which
        An alias or a number, see `parse_version`.

    Raises
    ------
    RegistryError
        If there is no such version, or the registry does not answer.
    LedgerError
        If the ledger has no registration of it.
    """
    ledger, client = ledger_of(stack), connect(stack)
    with talking(stack):
        version = find_version(client, model, which)
    number, run_id = int(version.version), str(version.run_id)
    registered = ledger.find(f"{REGISTRATION}:{run_id}")
    if registered is None:
        raise LedgerError(
            "the ledger has no registration of this version",
            where=f"{model} version {number}, run {run_id}",
            next_step="nobody vouches for it: `mlops audit verify`, and train it again",
        )
    sealed = _sealed(client, run_id, registered)
    lineage = sealed.lineage if sealed else None
    digest, fact = registered.event.digests.get, registered.event.facts.get
    return Ancestry(
        model=model,
        version=number,
        trained_as=registered.event.subject,
        run_id=run_id,
        candidate=digest("candidate", ""),
        evidence=digest("evidence", ""),
        policy=digest("policy", ""),
        data=digest("data", ""),
        train=digest("train", ""),
        train_rows=sealed.candidate.train.rows if sealed else None,
        dvc_rev=fact("dvc_rev", ""),
        region=fact("region", ""),
        seed=fact("seed", ""),
        git_commit=fact("git_commit", ""),
        dirty=lineage.git_dirty if lineage else None,
        config=digest("config", ""),
        environment=digest("environment", ""),
        environment_state=fact("environment_state", ""),
        lock=digest("lock", ""),
        code=digest("code", ""),
        library=lineage.library_version if lineage else "",
        sealed=sealed is not None,
        events=tuple(_life(ledger, registered, model, number)),
    )


def _sealed(client: "MlflowClient", run_id: str, registered: Entry) -> Evidence | None:
    """The run's evidence, if it is the one on record."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        content = evidence_of(client, run_id)
    except (MlflowException, RequestException, OSError):
        return None
    if bytes_digest(content) != registered.event.digests.get("evidence"):
        return None
    found: Evidence = decode(content)
    return found


def _life(ledger: Ledger, registered: Entry, model: str, number: int) -> list[Step]:
    """What happened to a version under its name, and under the one that it was trained as."""
    born = registered.event
    numbers = {born.subject: born.facts.get("version", ""), model: str(number)}
    requests: set[str] = set()
    entries = [each for name in numbers for each in ledger.entries(Wanted(subject=name))]
    found = []
    for entry in sorted(entries, key=lambda each: each.seq):
        event, about = entry.event, False
        if event.action == REQUEST:
            about = event.digests["candidate"] == born.digests.get("candidate")
            requests |= {event.digests["request"]} if about else set()
        elif event.action == VOTE:
            about = event.digests["request"] in requests
        elif event.facts.get("run_id"):
            about = event.facts["run_id"] == born.facts.get("run_id")
        elif event.facts.get("version"):
            about = event.facts["version"] == numbers[event.subject]
        if about and event.outcome != "intent":
            found.append(_step(entry))
    return found


def _step(entry: Entry) -> Step:
    said = entry.event
    return Step(entry.at, said.actor, said.action, said.outcome, said.subject, said.reason)
