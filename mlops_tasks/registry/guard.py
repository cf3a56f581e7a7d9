"""What an MLflow server with basic authentication asks before it answers: who is it, and may they?

Named as `authorization_function` in the server's `basic_auth.ini`; runs inside that server and
nowhere else. It checks the password as MLflow does, and then refuses what the sender's roles do not
allow, see `roles`. MLflow's own permissions are checked after it, so this can only narrow them.

Guarantee: if this module cannot be imported or fails, the request fails.
"""

from typing import Any

from mlops_tasks.registry.roles import allows

FUNCTION = "mlops_tasks.registry.guard:authenticate"


def authenticate() -> Any:
    """The sender's authorization, or the response that turns them away.

    MLflow asks several times for each request; the password is checked once.
    """
    from flask import Response, g, request
    from mlflow.server import auth

    if "mlops_sender" in g:
        return g.mlops_sender
    sender = auth.authenticate_request_basic_auth()
    if not isinstance(sender, Response):
        user = auth.store.get_user(sender.username)
        groups = {role.name for role in auth.store.list_user_roles(user.id)}
        body = request.get_json(silent=True)
        fields = body if isinstance(body, dict) else {}
        if not (user.is_admin or allows(request.method, request.path, fields, groups)):
            sender = auth.make_forbidden_response()
    g.mlops_sender = sender
    return sender
