"""Does an address carry a secret? Pure; what is done about it is said where addresses are used."""

import re

SECRET_IN_QUERY = re.compile(
    r"[?&;][^=&;]*(?:sig|token|passw|secret|key|credential)[^=&;]*=", re.IGNORECASE
)


def carries_secret(address: str) -> bool:
    """Whether an address has a password before the `@`, or a key, token or signature in its query.

    For a web server a user name alone counts too; elsewhere it names a container or a role.
    """
    scheme, _, rest = address.partition("://")
    if scheme.lower() in ("http", "https"):
        named = "@" in rest.partition("/")[0]
    else:  # a password may have a slash in it
        user, at, _ = rest.partition("@")
        named = bool(at) and ":" in user and not user.startswith("/")
    return named or bool(SECRET_IN_QUERY.search(address))
