"""The roles of the house, and which requests to an MLflow server each of them may make.

A role is held in one project, for its models of all stages. All roles read; what they write:

    viewer    nothing
    trainer   runs, artifacts, new versions, and the alias `challenger`
    promoter  every alias, the same version in another stage, and new evidence beside the old
    admin     everything, in every project

A worker that trains for a stage where the gate's yes is enough needs two roles, as it does two
things. MLflow's own permissions cannot say this (3.17). Creating a version and setting any alias
both need EDIT on the registered model, and READ and USE allow neither; a grant on
`registered_model_version` does not part them (DENY forbids both). Removing an alias needs MANAGE,
which allows deleting the model too. Nor can it keep an account from creating experiments. So
MLflow's grants are given as tightly as they go (`RIGHTS`), and `guard` asks `allows` on the
server, before MLflow looks at them. It only narrows: what it lets pass must still be granted.

Where a server runs without the guard, a trainer CAN move the champion. What remains then is the
promotion protocol, which has a signed approval and an entry in the ledger for every move, and so
notices a champion that nobody let in. The same notices a trainer who writes over the files of a run
after it was approved: within a project MLflow does not keep one run from another's author.

Pure: nothing here talks to a server.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mlops_tasks.registry.models import CHALLENGER


class Role(StrEnum):
    """What somebody is in a project."""

    VIEWER = "viewer"
    TRAINER = "trainer"
    PROMOTER = "promoter"
    ADMIN = "admin"


PROJECT_ROLES = (Role.VIEWER, Role.TRAINER, Role.PROMOTER)


@dataclass(frozen=True)
class Rights:
    """What a role is granted by MLflow on its project's experiment and registered models."""

    experiment: str
    model: str


RIGHTS = {
    Role.VIEWER: Rights(experiment="READ", model="READ"),
    Role.TRAINER: Rights(experiment="EDIT", model="EDIT"),
    Role.PROMOTER: Rights(experiment="EDIT", model="MANAGE"),
}

_API = r"/(?:ajax-)?api/2\.0/mlflow"
_READS = re.compile(
    rf"{_API}/(?:[a-z-]+/(?:search|get)[a-z-]*|artifacts/presigned-download-url|graphql)|/graphql"
)
# Everybody may change their own password: MLflow sees to it that it is their own.
_OWN = re.compile(rf"{_API}/users/update-password")
# Whose experiment a run or file belongs to is not in these paths; MLflow looks it up.
_RUNS = {
    Role.TRAINER: re.compile(
        rf"{_API}/(?:runs/(?:create|update|set-tag|delete-tag|outputs|log-[a-z]+)"
        r"|experiments/set-experiment-tag|artifacts/presigned-upload-url"
        r"|logged-models(?:/[^/]+(?:/params|/tags)?)?)"
        rf"|{_API}-artifacts/(?:artifacts|mpu/create|mpu/complete)/.+"
    ),
    Role.PROMOTER: re.compile(
        rf"{_API}-artifacts/artifacts/[^/]+/[^/]+/artifacts/evidence/[0-9a-f]+\.json"
    ),
}
# These say in their body which model, and so which project, they are about.
_NAMED = {
    Role.TRAINER: re.compile(
        rf"{_API}/(?:experiments/create|registered-models/create|model-versions/create)"
    ),
    Role.PROMOTER: re.compile(rf"{_API}/(?:registered-models/create|model-versions/create)"),
}
_ALIAS = re.compile(rf"{_API}/registered-models/alias")


def group(project: str, role: Role) -> str:
    """What a role of a project is called on the server.

    Examples
    --------
    >>> group("flight-delay", Role.TRAINER)
    'flight-delay:trainer'
    """
    return f"{project}:{role}"


def allows(method: str, path: str, fields: Mapping[str, object], groups: Collection[str]) -> bool:
    """Whether somebody who is not an admin may make a request at all.

    Parameters
    ----------
    method, path
        Of the request. What is not known here is refused, unless it only reads.
    fields
        Its body, or nothing.
    groups
        The names of the groups that the sender is in, see `group`.

    Examples
    --------
    >>> alias = "/api/2.0/mlflow/registered-models/alias"
    >>> wanted = {"name": "flight-delay.prod", "alias": "champion", "version": "7"}
    >>> allows("POST", alias, wanted, {"flight-delay:trainer"})
    False
    >>> allows("POST", alias, wanted, {"flight-delay:promoter"})
    True
    """
    if method in ("GET", "HEAD", "OPTIONS"):
        return True
    if method == "POST" and _READS.fullmatch(path):
        return True
    project, _, _ = str(fields.get("name", "")).partition(".")
    held = {role for role in PROJECT_ROLES if group(project, role) in groups}
    if _ALIAS.fullmatch(path):
        theirs = method == "POST" and fields.get("alias") == CHALLENGER
        return Role.PROMOTER in held or (Role.TRAINER in held and theirs)
    if method == "PATCH" and _OWN.fullmatch(path):
        return True
    if method not in ("POST", "PUT", "PATCH"):
        return False
    anywhere = {role for role in _RUNS if any(each.endswith(f":{role}") for each in groups)}
    return any(_RUNS[role].fullmatch(path) for role in anywhere) or any(
        _NAMED[role].fullmatch(path) for role in held if role in _NAMED
    )
