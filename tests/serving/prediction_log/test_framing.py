"""Pieces come back as they were framed, whatever end or spoilt byte the file has."""

from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.serving.prediction_log.framing import MARK, framed, pieces

# Pieces that look like the head of another are the ones to get wrong.
PIECES = st.lists(
    st.binary(max_size=30)
    | st.binary(max_size=8).map(lambda tail: MARK + tail)
    | st.binary(max_size=8).map(lambda tail: framed(tail)[:-1]),
    max_size=6,
)


@given(said=PIECES)
def test_what_was_framed_comes_back(said: list[bytes]) -> None:
    assert list(pieces(b"".join(map(framed, said)))) == said


@given(said=PIECES, cut=st.integers(1))
def test_an_unfinished_end_is_passed_over(said: list[bytes], cut: int) -> None:
    last = framed(said[-1]) if said else framed(b"")
    begun = last[: cut % len(last)]
    whole = said[:-1]
    assert list(pieces(b"".join(map(framed, whole)) + begun)) == whole


@given(said=PIECES.filter(len), which=st.integers(0), byte=st.integers(0), flip=st.integers(1, 255))
def test_a_changed_byte_is_told_of_and_spoils_one_piece_alone(
    said: list[bytes], which: int, byte: int, flip: int
) -> None:
    which %= len(said)
    spoilt = bytearray(framed(said[which]))
    spoilt[byte % len(spoilt)] ^= flip
    file = [framed(each) for each in said]
    file[which] = bytes(spoilt)
    found = list(pieces(b"".join(file)))
    # A piece that holds a framed one gives that back when it is spoilt itself: none does here.
    assert found == [*said[:which], None, *said[which + 1 :]]


@given(said=PIECES, noise=st.binary(min_size=1, max_size=40))
def test_noise_at_the_end_takes_nothing_with_it(said: list[bytes], noise: bytes) -> None:
    found = list(pieces(b"".join(map(framed, said)) + noise))
    assert found[: len(said)] == said
    assert found[len(said) :] in ([], [None])
