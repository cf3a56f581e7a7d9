"""Secrets do not belong into a configuration: found there, and never shown. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_tasks.infrastructure.problem import EXTRA, Problem
from mlops_tasks.settings.addresses import carries_secret

HIDDEN = "***"
SECRET_NAME = re.compile(
    r"secret|passw|token|credential|auth_string|connection_string|api_key|access_key"
    r"|account_key|private_key|sas\b",
    re.IGNORECASE,
)
REFERENCE = re.compile(r"^\s*\{\{.*\}\}\s*$", re.DOTALL)  # a Prefect block or variable
ELSEWHERE = re.compile(r"(?:_arn|_name|_id|_file)$", re.IGNORECASE)
SELECTOR = {"secret", "version"}  # names a secret that Google keeps


def written_secrets(extra: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What looks like a secret in `extra`, by its name; a reference to a Prefect block is none."""
    return tuple(
        Problem(key, "looks like a secret: keep it in a Prefect block and name that here")
        for key in _secrets(EXTRA, extra)
    )


def shown(value: Any, name: str = "") -> Any:
    """The same plain data, without secrets: for people and logs."""
    if isinstance(value, Mapping):
        if value.keys() == SELECTOR:
            return dict(value)
        return {key: shown(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [shown(each, name) for each in value]
    if not isinstance(value, str):
        return value
    return HIDDEN if is_secret(name, value) else value


def is_secret(name: str, value: str) -> bool:
    """Whether a value looks like a secret, by its name or because an address carries one."""
    named = bool(SECRET_NAME.search(name)) and not ELSEWHERE.search(name)
    if REFERENCE.match(value):
        return False
    return (named and bool(value)) or ("://" in value and carries_secret(value))


def _secrets(key: str, value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping) and value.keys() != SELECTOR:
        for inner, each in value.items():
            yield from _secrets(f"{key}.{inner}", each, str(inner))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets(key, each, name)
    elif isinstance(value, str) and is_secret(name, value):
        yield key
