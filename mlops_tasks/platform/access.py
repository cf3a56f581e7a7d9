"""Opening a project on an MLflow server, and giving people roles in it.

Written by an admin through MLflow's REST interface; what each role means is `registry.roles`'
affair. Every function but `create_account` can be repeated: what already stands is left alone.

Guarantee: passwords are sent in headers and bodies only, and no error repeats one.
"""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, get_args

from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.credentials import Credentials
from mlops_tasks.registry.roles import PROJECT_ROLES, RIGHTS, Role, group
from mlops_tasks.settings.approval import Stage
from mlops_tasks.settings.schema import registered_name

WORKSPACE = "default"
EXISTS = "RESOURCE_ALREADY_EXISTS"
SECONDS = 30


@dataclass(frozen=True)
class Server:
    """An MLflow server, and the admin in whose name it is asked."""

    uri: str
    admin: Credentials

    def ask(self, method: str, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Call the interface, and return what it answers.

        Raises
        ------
        PlatformError
            If it refuses or does not answer. Its error code, where it gave one, is in `what`.
        """
        address = f"{self.uri.rstrip('/')}/api/{path}"
        token = base64.b64encode(self.admin.pair.encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        body = None if method == "GET" else json.dumps(fields).encode()
        query = f"?{urllib.parse.urlencode(fields)}" if method == "GET" else ""
        request = urllib.request.Request(address + query, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                answer: dict[str, Any] = json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as refusal:
            raise _refused(refusal, address) from None
        except (OSError, ValueError) as error:
            raise PlatformError(
                f"the MLflow server does not answer: {error}",
                where=address,
                next_step="start it, or correct the address",
            ) from error
        return answer


def open_project(server: Server, project: str, artifact_root: str = "") -> None:
    """Make a project's experiment and models, and the roles that people can have in it.

    Done by an admin, so that no trainer owns them: who creates a model in MLflow may delete it.

    Parameters
    ----------
    server
        Where.
    project
        Name of the experiment; the registered models of its stages are named after it.
    artifact_root
        `stack.artifact_root`. Leave it out where the server stores the artifacts itself: MLflow
        knows what a file belongs to by the experiment's number at the start of its default path.

    Raises
    ------
    PlatformError
        If the server refuses or does not answer.
    """
    wanted = {"name": project}
    if artifact_root:
        wanted["artifact_location"] = f"{artifact_root.rstrip('/')}/{project}"
    _once(server, "2.0/mlflow/experiments/create", wanted)
    models = [registered_name(project, stage) for stage in get_args(Stage)]
    for model in models:
        _once(server, "2.0/mlflow/registered-models/create", {"name": model})
    found = server.ask("GET", "2.0/mlflow/experiments/get-by-name", {"experiment_name": project})
    experiment = found["experiment"]["experiment_id"]
    for role in PROJECT_ROLES:
        name, rights = group(project, role), RIGHTS[role]
        made = _once(server, "3.0/mlflow/roles/create", {"name": name, "workspace": WORKSPACE})
        known = int(made["role"]["id"]) if made else _group_id(server, project, role)
        grants = [("experiment", experiment, rights.experiment)]
        grants += [("registered_model", model, rights.model) for model in models]
        for kind, pattern, permission in grants:
            grant = {"resource_type": kind, "resource_pattern": pattern, "permission": permission}
            _once(server, "3.0/mlflow/roles/permissions/add", {"role_id": known} | grant)


def create_account(server: Server, account: Credentials) -> None:
    """Make an account, which may do nothing yet.

    Raises
    ------
    PlatformError
        If there is one of this name: its password would not be the one that is given.
    """
    fields = {"username": account.username, "password": account.password}
    server.ask("POST", "2.0/mlflow/users/create", fields)


def give_role(server: Server, username: str, project: str, role: Role) -> None:
    """Let somebody be something in a project; an admin is one in all of them.

    Raises
    ------
    PlatformError
        If there is no such account or project, or the server refuses.
    """
    if role is Role.ADMIN:
        fields: dict[str, Any] = {"username": username, "is_admin": True}
        server.ask("PATCH", "2.0/mlflow/users/update-admin", fields)
        return
    fields = {"username": username, "role_id": _group_id(server, project, role)}
    _once(server, "3.0/mlflow/roles/assign", fields)


def take_role(server: Server, username: str, project: str, role: Role) -> None:
    """Take a role of a project from somebody; it holds from the next request on.

    Raises
    ------
    PlatformError
        If they do not have it, or the server refuses.
    """
    if role is Role.ADMIN:
        fields: dict[str, Any] = {"username": username, "is_admin": False}
        server.ask("PATCH", "2.0/mlflow/users/update-admin", fields)
        return
    fields = {"username": username, "role_id": _group_id(server, project, role)}
    server.ask("DELETE", "3.0/mlflow/roles/unassign", fields)


def _group_id(server: Server, project: str, role: Role) -> int:
    known = server.ask("GET", "3.0/mlflow/roles/list", {"workspace": WORKSPACE})["roles"]
    for each in known:
        if each["name"] == group(project, role):
            return int(each["id"])
    raise PlatformError(
        f"the project {project!r} has no roles on this server",
        where=server.uri,
        next_step="an admin opens it with `open_project`",
    )


def _once(server: Server, path: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    """What a creation answers, or None where it was done before."""
    try:
        return server.ask("POST", path, fields)
    except PlatformError as error:
        if EXISTS not in error.what:
            raise
        return None


def _refused(refusal: urllib.error.HTTPError, address: str) -> PlatformError:
    with refusal:
        try:
            code = str(json.loads(refusal.read())["error_code"])
        except (ValueError, KeyError, TypeError):
            code = refusal.reason
    return PlatformError(
        f"the MLflow server refuses: {refusal.code} {code}",
        where=address,
        next_step="check the admin's name and password, and what was asked for",
    )
