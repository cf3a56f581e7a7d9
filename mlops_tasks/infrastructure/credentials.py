"""Which credentials a stack needs, by name. Pure: values are neither read nor told.

Each service takes one of several sets of variables, or a file in a place of its own. Whether they
are the right ones only the service knows.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mlops_tasks.infrastructure.problem import Problem
from mlops_tasks.settings.schema import StackSettings

Alternatives = tuple[tuple[str, ...], ...]

PREFECT: Alternatives = (("PREFECT_API_AUTH_STRING",), ("PREFECT_API_KEY",))
MLFLOW: Alternatives = (
    ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    ("MLFLOW_TRACKING_TOKEN",),
)
AWS: Alternatives = (
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("AWS_PROFILE",),
    ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
)
GOOGLE: Alternatives = (("GOOGLE_APPLICATION_CREDENTIALS",),)
AZURE: Alternatives = (
    ("AZURE_STORAGE_CONNECTION_STRING",),
    ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"),
    ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_SAS_TOKEN"),
    ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
)
POSTGRESQL: Alternatives = (("PGPASSWORD",), ("PGPASSFILE",), ("PGSERVICEFILE",))
SCHEMES = {
    "s3": ("AWS", AWS, (".aws/credentials", ".aws/config")),
    "gs": ("Google", GOOGLE, (".config/gcloud/application_default_credentials.json",)),
    "az": ("Azure", AZURE, (".azure/msal_token_cache.json",)),
}
ALIASES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "azure": "az", "adl": "az"}


def missing_credentials(
    stack: StackSettings, environment: Mapping[str, str], user_home: Path, *, local: bool
) -> tuple[Problem, ...]:
    """The services of a stack that there are no credentials for.

    Parameters
    ----------
    stack
        Where work is tracked and kept.
    environment
        Where names of variables are looked for.
    user_home
        The folder that clients look in for files of their own, such as `.aws/credentials`.
    local
        Whether the stack is one person's own machine, whose Prefect and MLflow ask nobody.

    Returns
    -------
    tuple of Problem
        The key that needs the credentials, and all names that would do.
    """
    return tuple(_missing(stack, environment, user_home, local))


def scheme_of(uri: str) -> str:
    """The kind of storage behind a URI: `s3`, `gs`, `az`, another scheme, or empty for a path."""
    scheme, separator, _ = uri.partition("://")
    return ALIASES.get(scheme.lower(), scheme.lower()) if separator else ""


def _missing(
    stack: StackSettings, environment: Mapping[str, str], user_home: Path, local: bool
) -> Iterator[Problem]:
    if not local:
        for key, service, alternatives in (
            ("stack.compute.work_pool", "Prefect", PREFECT),
            ("stack.tracking_uri", "MLflow", MLFLOW),
        ):
            if not _given(alternatives, environment):
                yield _problem(key, service, alternatives)
    told = set()
    for key, uri in (*stack.places.items(), ("stack.anchor", stack.anchor)):
        scheme = scheme_of(uri)
        if scheme not in SCHEMES or scheme in told:
            continue
        told.add(scheme)
        service, alternatives, files = SCHEMES[scheme]
        on_disk = any((user_home / file).is_file() for file in files)
        if not on_disk and not _given(alternatives, environment):
            yield _problem(key, service, alternatives)
    known = _given(POSTGRESQL, environment) or (user_home / ".pgpass").is_file()
    if stack.ledger.startswith("postgresql") and not known:
        yield _problem("stack.ledger", "PostgreSQL", POSTGRESQL)


def _given(alternatives: Alternatives, environment: Mapping[str, str]) -> bool:
    return any(all(environment.get(name) for name in names) for names in alternatives)


def _problem(key: str, service: str, alternatives: Alternatives) -> Problem:
    ways = ", or ".join(" and ".join(names) for names in alternatives)
    return Problem(key, f"no credentials for {service}: set {ways}")
