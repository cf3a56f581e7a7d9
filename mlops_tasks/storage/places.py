"""A URI as a path: which file system it is on, and how long one request to it may take.

Amazon's and compatible stores are found by the standard variables (`AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`); Google's and Azure's by theirs.

Guarantee: a request to S3 that nobody answers ends; botocore itself would ask again and again for
minutes. Asking again is `patience`'s affair.
"""

from typing import TYPE_CHECKING, Any

from mlops_tasks.patience import CONNECT_SECONDS, read_seconds

if TYPE_CHECKING:
    from upath import UPath

LOCAL = ("", "file", "local")
S3 = ("s3", "s3a")
# What brings the client for each.
EXTRAS = dict.fromkeys(S3, "s3") | dict.fromkeys(("gs", "gcs"), "gs")
EXTRAS |= dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure")
# There an object appears when its upload is complete; elsewhere it is renamed when it is.
OBJECT_STORES = (*S3, "gs", "gcs", "az", "abfs", "abfss", "adl", "memory")


def place(uri: str) -> "UPath":
    """The path that a URI names, on a file system that does not wait for ever."""
    from upath import UPath

    scheme = uri.partition("://")[0]
    return UPath(uri, **_options()) if scheme in S3 else UPath(uri)


def is_local(path: "UPath") -> bool:
    """Whether it is a path of this machine."""
    return path.protocol in LOCAL


def _options() -> dict[str, Any]:
    limits = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": read_seconds(),
        "retries": {"mode": "standard", "total_max_attempts": 1},
    }
    return {"config_kwargs": limits, "use_listings_cache": False}  # others write there as well
