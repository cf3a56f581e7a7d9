"""Exact conversion of resources into platforms' units. Pure.

Numbers are taken as they are written: 0.1 is one tenth, not the nearest binary fraction. Where a
platform counts in whole units, a job gets at least the cores and the memory that were asked for
(rounded up) and runs no longer than was allowed (rounded down).

Units: cores, GiB (2**30 bytes) and hours in; what each function says out.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

MIB_IN_GIB = 1024
BYTES_IN_GIB = 1 << 30
SECONDS_IN_HOUR = 3600


def exact(number: float) -> Decimal:
    """The decimal number that was written."""
    return Decimal(repr(number))


def scaled_up(number: float, units: int) -> int:
    """The number in smaller units, rounded up.

    Examples
    --------
    >>> scaled_up(0.1, 1000), scaled_up(1.1, MIB_IN_GIB)
    (100, 1127)
    """
    return int((exact(number) * units).to_integral_value(ROUND_CEILING))


def whole_seconds(hours: float) -> int:
    """Hours in seconds, rounded down; 0 below one second.

    Examples
    --------
    >>> whole_seconds(0.1), whole_seconds(0.0001)
    (360, 0)
    """
    return int((exact(hours) * SECONDS_IN_HOUR).to_integral_value(ROUND_FLOOR))


def decimal_gigabytes(memory_gib: float) -> float:
    """Memory in GB (10**9 bytes), rounded up to a tenth.

    Examples
    --------
    >>> decimal_gigabytes(1.0), decimal_gigabytes(16.0)
    (1.1, 17.2)
    """
    gigabytes = exact(memory_gib) * BYTES_IN_GIB / 10**9
    return float(gigabytes.quantize(Decimal("0.1"), ROUND_CEILING))


def kubernetes_cpu(cores: float) -> str:
    """Cores as a Kubernetes quantity, in thousandths if not whole.

    Examples
    --------
    >>> kubernetes_cpu(2.0), kubernetes_cpu(0.25)
    ('2', '250m')
    """
    thousandths = scaled_up(cores, 1000)
    return f"{thousandths // 1000}" if thousandths % 1000 == 0 else f"{thousandths}m"


def binary_memory(memory_gib: float) -> str:
    """Memory as a quantity with a binary suffix, in Mi if not a whole number of Gi.

    Examples
    --------
    >>> binary_memory(4.0), binary_memory(0.5)
    ('4Gi', '512Mi')
    """
    mebibytes = scaled_up(memory_gib, MIB_IN_GIB)
    if mebibytes % MIB_IN_GIB == 0:
        return f"{mebibytes // MIB_IN_GIB}Gi"
    return f"{mebibytes}Mi"
