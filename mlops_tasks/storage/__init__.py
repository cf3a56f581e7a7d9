"""Objects named by the SHA-256 of their content, under any fsspec URI.

    objects   put, fetch, adopt: what is kept, and what counts as being there
    places    a URI as a path: which file system, how long it may take
    transfer  bytes to and from places that are not this machine: whole or not at all, and patiently

Credentials come from the environment, as each cloud's own tools read them; none pass through here.
What the bytes mean is not known here: `data.frames` and `training.model_files` know.
"""

from mlops_tasks.storage.objects import (
    CHUNK_BYTES,
    adopt,
    fetch,
    fetch_unverified,
    file_digest,
    is_intact,
    put,
)

__all__ = ["CHUNK_BYTES", "adopt", "fetch", "fetch_unverified", "file_digest", "is_intact", "put"]
