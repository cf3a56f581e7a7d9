"""Conversions are exact where they can be, and round to the side that was promised."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.infrastructure.ecs import FARGATE
from mlops_tasks.infrastructure.quantities import (
    BYTES_IN_GIB,
    binary_memory,
    decimal_gigabytes,
    kubernetes_cpu,
    scaled_up,
    whole_seconds,
)
from mlops_tasks.infrastructure.vertex import MACHINES, smallest_machine
from mlops_tasks.settings.infrastructure import Resources

NUMBERS = st.decimals(min_value="0.001", max_value="900", places=3).map(float)
SUFFIX = {"Mi": 2**20, "Gi": 2**30}


def written(number: float) -> Fraction:
    return Fraction(str(number))


@given(NUMBERS, st.sampled_from([1000, 1024, 10**9, BYTES_IN_GIB]))
def test_scaled_numbers_are_the_smallest_that_are_enough(number: float, units: int) -> None:
    found = scaled_up(number, units)
    assert found - 1 < written(number) * units <= found


@given(NUMBERS)
def test_seconds_are_the_most_that_are_allowed(hours: float) -> None:
    assert whole_seconds(hours) <= written(hours) * 3600 < whole_seconds(hours) + 1


@given(NUMBERS)
def test_memory_is_enough_and_less_than_a_unit_too_much(memory: float) -> None:
    text = binary_memory(memory)
    size = int(text[:-2]) * SUFFIX[text[-2:]]
    assert 0 <= size - written(memory) * 2**30 < 2**20
    gigabytes = decimal_gigabytes(memory)
    assert 0 <= written(gigabytes) * 10**9 - written(memory) * 2**30 < 10**8


@given(NUMBERS)
def test_cores_are_enough_and_less_than_a_thousandth_too_many(cores: float) -> None:
    text = kubernetes_cpu(cores)
    found = Fraction(text[:-1]) / 1000 if text.endswith("m") else Fraction(text)
    assert 0 <= found - written(cores) < Fraction(1, 1000)


def test_whole_units_stay_whole() -> None:
    assert (kubernetes_cpu(2.0), kubernetes_cpu(0.1)) == ("2", "100m")
    assert (binary_memory(4.0), binary_memory(0.5), binary_memory(1.1)) == (
        "4Gi",
        "512Mi",
        "1127Mi",
    )
    assert whole_seconds(0.1) == 360, "one tenth as it is written, not as it is stored"


def test_fargate_has_the_pairs_that_amazon_publishes() -> None:
    pairs = {cpu: (min(sizes), max(sizes), len(sizes)) for cpu, sizes in FARGATE.items()}
    assert pairs == {
        256: (512, 2048, 3),
        512: (1024, 4096, 4),
        1024: (2048, 8192, 7),
        2048: (4096, 16384, 13),
        4096: (8192, 30720, 23),
        8192: (16384, 61440, 12),
        16384: (32768, 122880, 12),
    }


@given(st.none() | NUMBERS, st.none() | NUMBERS)
def test_a_machine_is_the_smallest_that_has_enough(
    cores: float | None, memory: float | None
) -> None:
    enough = [
        (has, gigabytes, name)
        for has, gigabytes, name in MACHINES
        if has >= (cores or 0) and Fraction(str(gigabytes)) * 10**9 >= written(memory or 0) * 2**30
    ]
    found = smallest_machine(Resources(cpu_cores=cores, memory_gib=memory))
    assert found == (min(enough)[2] if enough else "")
