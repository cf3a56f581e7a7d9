"""Everything that is wrong with a stack, found before anything is submitted, and told at once.

Nothing stops at the first problem: what the environment lacks is stood in for, so that the rest of
the configuration is looked at too.

Guarantees, each held by a test: every kind of problem is found beside every other, a missing
variable or credential is named, and no value of either is ever told.
"""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_tasks.doors import is_local, is_server
from mlops_tasks.errors import MlopsError, SettingsError
from mlops_tasks.infrastructure.credentials import missing_credentials
from mlops_tasks.infrastructure.job_environment import Read, read
from mlops_tasks.infrastructure.job_manifest import job_manifest
from mlops_tasks.infrastructure.pool_fit import misfits
from mlops_tasks.infrastructure.translation import job_variables, problems
from mlops_tasks.platform.closed import require_closed_api
from mlops_tasks.project import stack_probes
from mlops_tasks.registry.closed import require_closed
from mlops_tasks.settings import Settings
from mlops_tasks.settings.addresses import carries_secret
from mlops_tasks.settings.compose import compose
from mlops_tasks.settings.schema import StackSettings

STAND_IN = "unset-variable-"
PREFECT_API = "PREFECT_API_URL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to put right.

    `kind` is environment, configuration, capability, residency, credential, unreachable or open;
    `key` is a key of the configuration or the name of a variable.
    """

    kind: str
    key: str
    what: str


def check(
    root: Path,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
    *,
    ask: bool = True,
) -> tuple[Finding, ...]:
    """Look at the stack that a project's configuration chooses.

    Parameters
    ----------
    root
        The project's folder.
    overrides
        Hydra overrides such as `stack=aws`.
    environment
        Where addresses and credentials are looked for. Clients of services read the real one.
    ask
        Whether to ask the services themselves.
    """
    try:
        given = read(root, overrides, environment)
        stand_ins = {name: STAND_IN + name.lower() for name in given.missing}
        settings = compose(root, overrides, placed=False, stand_ins=stand_ins)
    except SettingsError as error:
        return (Finding("configuration", error.where, error.what),)
    return tuple(_findings(settings, given, environment, ask))


def chosen(overrides: Sequence[str]) -> str:
    """The name of the stack that overrides choose, or nothing in particular: the project's."""
    named = [each.partition("=")[2] for each in overrides if each.startswith("stack=")]
    return named[-1] if named else "of this project"


def manifest(settings: Settings, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The Kubernetes Job that is made of a target's job variables.

    Raises
    ------
    SettingsError
        If the target is another platform.
    """
    kind = settings.stack.compute.kind
    if kind != "kubernetes":
        raise SettingsError(
            f"a Kubernetes Job cannot be made for a target of kind {kind!r}",
            where=f"stack {settings.stack.name!r}",
            next_step="`mlops stack show --as prefect`, or choose `stack=kubernetes`",
        )
    return job_manifest(variables, settings.project)


def _findings(
    settings: Settings, given: Read, environment: Mapping[str, str], ask: bool
) -> Iterator[Finding]:
    stack = settings.stack
    local = is_local(stack)
    for name in given.missing:
        yield Finding("environment", name, f"not set, and stack {stack.name!r} reads it")
    for name in given.secret:
        yield Finding("environment", name, "a secret, and it would be stored with the jobs")
    if not local and not environment.get(PREFECT_API):
        yield Finding("environment", PREFECT_API, "not set: where flow runs are sent to")
    for problem in problems(stack.compute):
        if not _stood_in(settings, problem.key):
            yield Finding("capability", problem.key, problem.what)
    for sentence in settings.misplaced:
        if STAND_IN not in sentence:
            key = sentence.split(maxsplit=1)[0].rstrip(":")
            yield Finding("residency", key, sentence)
    for problem in missing_credentials(stack, environment, Path.home(), local=local):
        yield Finding("credential", problem.key, problem.what)
    yield from _addresses(stack, environment)
    if ask:
        yield from _answers(stack, given, environment)


def _stood_in(settings: Settings, key: str) -> bool:
    value: Any = settings.model_dump()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return STAND_IN in str(value)


def _addresses(stack: StackSettings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """What the guards of tracking and ledger refuse about addresses: all of it, not the first."""
    places = {**stack.places, "stack.ledger": stack.ledger, "stack.anchor": stack.anchor}
    for key, address in places.items():
        if carries_secret(address):
            yield Finding("configuration", key, "carries a password or key: set it apart")
    if carries_secret(environment.get(PREFECT_API, "")):
        yield Finding("environment", PREFECT_API, "carries a password or key: set it apart")
    shared = not is_local(stack) and STAND_IN not in stack.tracking_uri
    if shared and not is_server(stack.tracking_uri):
        what = "not a server: nobody can be kept out of a file"
        yield Finding("configuration", "stack.tracking_uri", what)


def _answers(
    stack: StackSettings, given: Read, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Ask each service once: the same bucket behind three keys is one question.

    An address with a secret in it is not asked: clients repeat it in their errors.
    """
    probes: dict[str, stack_probes.Probe] = {}
    seen = set()
    places = {**stack.places, "stack.anchor": stack.anchor, "stack.key_folder": stack.key_folder}
    for key, uri in places.items():
        root = uri.partition("://")[2].partition("/")[0] if "://" in uri else uri
        if key != "stack.tracking_uri" and _askable(uri) and root not in seen:
            seen.add(root)
            probes[key] = functools.partial(stack_probes.place, uri)
    if _askable(stack.tracking_uri):
        probes["stack.tracking_uri"] = lambda: _tracking(stack)
    if _askable(stack.ledger):
        probes["stack.ledger"] = lambda: stack_probes.database(stack.ledger)
    if _askable(environment.get(PREFECT_API, "")):
        probes[PREFECT_API] = lambda: _prefect(stack, environment)
        if not is_local(stack):
            probes["stack.compute.work_pool"] = lambda: _pool(stack, given, environment)
    for key, sentences in stack_probes.ask_all(probes).items():
        for sentence in sentences:
            open_door = "lets in anybody" in sentence or "keep anybody out" in sentence
            yield Finding("open" if open_door else "unreachable", key, sentence)


def _askable(address: str) -> bool:
    known = bool(address) and STAND_IN not in address and not address.startswith("git:")
    return known and not carries_secret(address)


def _tracking(stack: StackSettings) -> list[str]:
    if not is_server(stack.tracking_uri):
        return stack_probes.database(stack.tracking_uri)
    silent = stack_probes.server(stack.tracking_uri.rstrip("/") + "/health")
    if silent:
        return silent
    try:
        require_closed(stack)
    except MlopsError as error:
        return [error.what]
    return []


def _prefect(stack: StackSettings, environment: Mapping[str, str]) -> list[str]:
    url = environment[PREFECT_API]
    if is_local(stack):
        return stack_probes.server(url.rstrip("/") + "/health")
    try:
        require_closed_api(stack, {PREFECT_API: url, "PREFECT_API_KEY": "looked for elsewhere"})
    except MlopsError as error:
        return [error.what]
    return []


def _pool(stack: StackSettings, given: Read, environment: Mapping[str, str]) -> list[str]:
    """Only a pool whose own template has the variables will use them."""
    target = stack.compute
    try:
        pool = stack_probes.work_pool(environment[PREFECT_API], target.work_pool, environment)
    except PermissionError as error:
        return [str(error)]
    except OSError:
        return []  # whether the API answers is asked by another probe
    if pool is None:
        return [f"there is no work pool {target.work_pool!r}; `mlops deploy` makes it"]
    variables = {} if problems(target) else job_variables(target, given.carried)
    return list(misfits(target, variables, pool))
