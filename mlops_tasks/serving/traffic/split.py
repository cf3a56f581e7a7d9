"""Which requests a canary answers: a stable hash of the request's key, and nothing else. Pure.

Guarantees, each held by a test: the same key gets the same answer on every machine, on every
version of Python and after every restart; a key that a canary has keeps it while the weight grows;
the share of keys is the weight; two salts choose independently.
"""

import hashlib

BITS = 53  # what a float holds exactly


def choose(key: str, weight: float, salt: str) -> bool:
    """Whether the request with this key goes to the canary.

    Parameters
    ----------
    key
        What should always get the same answer: a customer, a session, or the request itself.
    weight
        Share of the keys that the canary gets, in [0, 1].
    salt
        See `salt_of`: keys that one canary chose must not be those that the next one chooses.

    Raises
    ------
    ValueError
        If the weight is not a share.

    Examples
    --------
    >>> [key for key in ("ada", "bob", "eve", "joe") if choose(key, 0.5, "demo:3")]
    ['ada']
    """
    if not 0.0 <= weight <= 1.0:
        raise ValueError(f"a weight is a share between 0 and 1, not {weight}")
    return _place(key, salt) < weight


def salt_of(model: str, version: int) -> str:
    """The salt of one canary; withdrawn and started again, it gets the same keys.

    Examples
    --------
    >>> salt_of("flight-delay.prod", 3)
    'flight-delay.prod:3'
    """
    return f"{model}:{version}"


def _place(key: str, salt: str) -> float:
    """Where a key lies in [0, 1): the first bits of a SHA-256 (FIPS 180-4) of salt and key."""
    text = f"{len(salt)}:{salt}{key}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(text).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - BITS)) / (1 << BITS)
