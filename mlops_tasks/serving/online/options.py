"""Limits and intervals of one server; what the model is comes from the registry, not from here."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """How a server behaves.

    Parameters
    ----------
    keys
        File of API keys (see `keys`); `serving_keys.json` in the stack's key folder if not given.
    poll_seconds
        How often alias and traffic are looked at.
    retry_seconds
        How long a version that does not load is left alone; doubled each time, at most an hour.
    outage_seconds
        The same where a store, the registry or the ledger was out of reach; always this long.
    max_body_bytes, max_rows
        What one request may bring.
    body_seconds, predict_seconds
        How long the body may take to arrive, and an answer to be computed.
    max_connections
        How many may be open at once; requests of more are refused.
    shadow_seconds, shadow_waiting
        How old a request may be when a shadow has answered it, and how many may wait for it.
    version
        Answer with this version alone, as long as it is champion or canary; nothing else, and
        nothing once it is neither.
    canary
        Whether the canary's share of the keys is answered here too: not where a cluster splits.
    """

    keys: Path | None = None
    poll_seconds: float = 2.0
    retry_seconds: float = 30.0
    outage_seconds: float = 10.0
    max_body_bytes: int = 2 << 20
    max_rows: int = 1000
    body_seconds: float = 10.0
    predict_seconds: float = 10.0
    max_connections: int = 1000
    shadow_seconds: float = 5.0
    shadow_waiting: int = 200
    version: int | None = None
    canary: bool = True
