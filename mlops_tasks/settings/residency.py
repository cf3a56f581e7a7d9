"""What may meet: data of a classification, the regions it may be in, the places it may be kept.

Pure. The policy is an allow-list for each classification; what is not on it is forbidden. Where a
task really runs is `governance.residency`'s affair.

Guarantees, each held by a test: a region that is not declared, a classification without a rule and
an empty list are a no; all violations are found at once; a prefix ends where a folder or a bucket
ends, so `s3://eu` does not cover `s3://eu-copy`, and no `..` and no link leads out of it.
"""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote

from pydantic import BaseModel, ConfigDict

from mlops_tasks.environment import home

HOME = "$MLOPS_HOME"
ON_DISK = ("file", "sqlite")
WITH_USERS = ("http", "https", "postgresql")  # elsewhere the part before an @ names a container
_SCHEME = re.compile(r"[A-Za-z][\w+.-]+:/")  # longer than the letter of a drive


class Regions(BaseModel):
    """Where the parts of a stack are; empty means that nobody has said so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    compute: str = ""
    storage: str = ""
    tracking: str = ""
    registry: str = ""


class ResidencyRule(BaseModel):
    """Where data of one classification may be.

    `uri_prefixes` are folders, buckets or servers; `$MLOPS_HOME` is the user's own folder, written
    like this so that the rule is the same text for everybody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: tuple[str, ...] = ()
    uri_prefixes: tuple[str, ...] = ()


class Placed(Protocol):
    """What `violations` must know of some data: see `DataSettings`."""

    @property
    def classification(self) -> str:
        """The name of its rule."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Where it may be processed."""


def allowed_regions(data: Placed, rules: Mapping[str, ResidencyRule]) -> tuple[str, ...]:
    """The regions that both the data's declaration and the rule of its classification allow."""
    rule = rules.get(data.classification, ResidencyRule())
    return tuple(sorted(set(data.regions) & set(rule.regions)))


def violations(
    data: Placed,
    regions: Regions,
    places: Mapping[str, str],
    rules: Mapping[str, ResidencyRule],
) -> tuple[str, ...]:
    """Everything about a configuration that the policy forbids, each in a sentence.

    Parameters
    ----------
    data
        Its classification and the regions that were declared for it.
    regions
        Where the parts of the stack are.
    places
        Key in the configuration to the URI where data or what was made of it is kept.
    rules
        Classification to rule.
    """
    return tuple(_violations(data, regions, places, rules))


def is_within(uri: str, prefix: str) -> bool:
    """Whether a URI is a place inside a prefix, or the very same.

    Examples
    --------
    >>> is_within("s3://eu/data", "s3://eu"), is_within("s3://eu-copy/data", "s3://eu")
    (True, False)
    >>> is_within("s3://data/eu/../us", "s3://data/eu")
    False
    """
    if not prefix.strip() or not uri.strip():
        return False
    (scheme, host, path), (its_scheme, its_host, its_path) = _place(uri), _place(prefix)
    if (scheme, host) != (its_scheme, its_host):
        return False
    return path == its_path or path.startswith(its_path.rstrip("/") + "/")


def without_secrets(uri: str) -> str:
    """A URI without user, password and query: what may stand in a log or an error."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", uri).partition("?")[0]


def _violations(
    data: Placed,
    regions: Regions,
    places: Mapping[str, str],
    rules: Mapping[str, ResidencyRule],
) -> Iterator[str]:
    kind, rule = data.classification, rules.get(data.classification)
    if not data.regions:
        yield "data.regions is empty: nobody has said where the data may be processed"
    if not kind:
        yield "data.classification is empty: no rule can be found for the data"
    elif rule is None:
        known = ", ".join(sorted(rules)) or "none"
        yield f"data.classification = {kind!r}: policy.residency has no such rule, only {known}"
    if rule is None:
        return
    if not rule.regions:
        yield f"policy.residency.{kind}.regions is empty: such data may be nowhere"
    allowed = allowed_regions(data, rules)
    if data.regions and rule.regions and not allowed:
        yield (
            f"data.regions = {', '.join(data.regions)}: "
            f"{kind!r} data may only be in {', '.join(rule.regions)}"
        )
    for part, region in regions:
        if not region:
            yield f"stack.regions.{part} is empty: nobody has said where it is"
        elif allowed and region not in allowed:
            only = ", ".join(allowed)
            yield f"stack.regions.{part} = {region!r}: this data may only be in {only}"
    if not rule.uri_prefixes:
        yield f"policy.residency.{kind}.uri_prefixes is empty: such data may be kept nowhere"
        return
    for key, uri in places.items():
        if not any(is_within(uri, prefix) for prefix in rule.uri_prefixes):
            yield (
                f"{key} = {without_secrets(uri)!r}: {kind!r} data may only be kept within "
                f"{', '.join(map(without_secrets, rule.uri_prefixes))}"
            )


def _place(uri: str) -> tuple[str, str, str]:
    """Scheme, server or bucket, and path without `..`; a path on this machine without links."""
    text = uri.replace(HOME, str(home())) if uri.startswith(HOME) else uri
    if not _SCHEME.match(text):
        return "", "", _on_disk(text)
    scheme, _, rest = text.partition(":")
    scheme, rest = scheme.lower().partition("+")[0], rest.removeprefix("//")
    if scheme in ON_DISK:
        return "", "", _on_disk(rest[1:] if scheme == "sqlite" else unquote(rest))
    host, _, path = rest.partition("?")[0].partition("/")
    if scheme in WITH_USERS:
        host = host.rpartition("@")[2]
    if scheme == "postgresql" and (elsewhere := _overriding_hosts(rest)):
        if not host and len(elsewhere) == 1 and elsewhere[0].startswith("/"):
            return "", "", _on_disk(elsewhere[0])  # a socket in a folder of this machine
        host = ",".join([host, *elsewhere])
    return scheme, host.lower(), posixpath.normpath(f"/{unquote(path).lstrip('/')}")


def _overriding_hosts(rest: str) -> list[str]:
    """Servers that the query of a PostgreSQL URL names; drivers prefer them to the one before."""
    query = parse_qs(rest.partition("?")[2], keep_blank_values=True)
    return [each for name in ("host", "hostaddr", "service") for each in query.get(name, [])]


def _on_disk(path: str) -> str:
    return Path(os.path.realpath(Path(path.partition("?")[0]).expanduser())).as_posix()
