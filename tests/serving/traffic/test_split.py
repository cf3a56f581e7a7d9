"""Keys stay where they are, the share is the weight, and canaries do not share their keys."""

import hashlib
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mlops_tasks.serving.traffic.split import choose, salt_of

KEYS = st.text(max_size=40)
SHARES = st.floats(0.0, 1.0)


def by_hand(key: str, weight: float, salt: str) -> bool:
    text = f"{len(salt)}:{salt}{key}".encode("utf-8", "surrogatepass")
    number = int(hashlib.sha256(text).hexdigest()[:16], 16)
    return Fraction(number >> 11, 2**53) < Fraction(weight)


@given(KEYS, SHARES, KEYS)
def test_it_is_the_hash_held_against_the_weight(key: str, weight: float, salt: str) -> None:
    assert choose(key, weight, salt) is by_hand(key, weight, salt)


@given(KEYS, SHARES, SHARES)
def test_a_key_once_chosen_stays_when_the_weight_grows(key: str, one: float, two: float) -> None:
    small, large = sorted((one, two))
    assert choose(key, large, "m:1") or not choose(key, small, "m:1")


@given(KEYS)
def test_nobody_at_nothing_and_everybody_at_one(key: str) -> None:
    assert not choose(key, 0.0, "m:1")
    assert choose(key, 1.0, "m:1")


def test_another_process_with_another_hash_seed_says_the_same() -> None:
    code = (
        "from mlops_tasks.serving.traffic.split import choose\n"
        "print([choose(str(n), 0.3, 'm:1') for n in range(200)])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {str([choose(str(n), 0.3, "m:1") for n in range(200)])}


def test_what_was_chosen_once_is_chosen_for_ever() -> None:
    """Pinned: a change here sends customers to the other version in the middle of a canary."""
    chosen = {n for n in range(60) if choose(f"customer-{n}", 0.1, "flight-delay:3")}
    assert chosen == {7, 17, 32, 34, 57}


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.5])
def test_the_share_of_keys_is_the_weight(weight: float) -> None:
    keys = 40_000
    chosen = sum(choose(f"customer-{n}", weight, "m:1") for n in range(keys))
    expected = [keys * weight, keys * (1 - weight)]
    assert chisquare([chosen, keys - chosen], expected).pvalue > 0.001


def test_two_canaries_choose_independently() -> None:
    cells = [0, 0, 0, 0]
    for n in range(40_000):
        first = choose(f"customer-{n}", 0.5, salt_of("m", 1))
        second = choose(f"customer-{n}", 0.5, salt_of("m", 2))
        cells[2 * first + second] += 1
    assert chisquare(cells).pvalue > 0.001


def test_salt_and_key_do_not_run_into_each_other() -> None:
    apart = [choose(f"1{n}", 0.5, "m:") != choose(f"{n}", 0.5, "m:1") for n in range(200)]
    assert any(apart)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), float("inf")])
def test_what_is_not_a_share_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        choose("ada", weight, "m:1")
