"""Text and images, real ones, through descriptors into the same report as tables."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_sample_images

from mlops_tasks.drift import documents
from mlops_tasks.drift.descriptors import (
    Vocabulary,
    describe_images,
    describe_texts,
    vocabulary_of,
)
from mlops_tasks.drift.profile import count, profile_of
from mlops_tasks.drift.verdict import DriftReport, compare
from mlops_tasks.errors import DataError
from mlops_tasks.settings.monitoring import DriftRules


def held_against(reference: pl.DataFrame, window: pl.DataFrame) -> DriftReport:
    profile = profile_of(reference, reference.columns)
    return compare(profile, count(window, profile), DriftRules())


def drifted(report: DriftReport) -> set[str]:
    return {each.name for each in report.columns if each.drifted}


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    images = (load_digits().images * 15.9).astype(np.uint8)
    return images[np.random.default_rng(0).permutation(len(images))]


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    """The words of scikit-learn's own descriptions, twelve at a time, in a random order."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

    loaders = (load_breast_cancer, load_diabetes, load_iris, load_wine, load_digits)
    words = " ".join(each()["DESCR"] for each in loaders).split()
    words = [words[number] for number in np.random.default_rng(0).permutation(len(words))] * 8
    return [" ".join(words[start : start + 12]) for start in range(0, len(words) - 12, 7)]


def test_other_digits_have_not_drifted(digits: np.ndarray):
    report = held_against(
        describe_images(list(digits[:1200])), describe_images(list(digits[1200:]))
    )
    assert report.verdict == "no drift"
    assert drifted(report) == set()


@pytest.mark.parametrize("change", ["inverted", "noisy", "darker", "enlarged"])
def test_digits_that_look_otherwise_have_drifted(digits: np.ndarray, change: str):
    draw = np.random.default_rng(1)
    changed = {
        "inverted": lambda image: 255 - image,
        "noisy": lambda image: np.clip(image + draw.normal(0, 60, image.shape), 0, 255).astype(
            "u1"
        ),
        "darker": lambda image: image // 2,
        "enlarged": lambda image: np.kron(image, np.ones((2, 2), "u1")),
    }[change]
    seen = {
        "inverted": "brightness",
        "noisy": "sharpness",
        "darker": "contrast",
        "enlarged": "width",
    }[change]
    window = describe_images([changed(image) for image in digits[1200:]])
    report = held_against(describe_images(list(digits[:1200])), window)
    assert report.drifted
    assert seen in drifted(report)


def test_an_image_is_described_as_a_loop_would():
    photo = np.asarray(load_sample_images().images[0])[:40, :30]
    found = describe_images([photo]).row(0, named=True)
    light = [
        [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in line]
        for line in (photo / 255).tolist()
    ]
    flat = np.array(light).ravel()
    edges = [
        light[y - 1][x] + light[y + 1][x] + light[y][x - 1] + light[y][x + 1] - 4 * light[y][x]
        for y in range(1, 39)
        for x in range(1, 29)
    ]
    assert (found["width"], found["height"]) == (30, 40)
    assert found["brightness"] == pytest.approx(flat.mean())
    assert found["contrast"] == pytest.approx(flat.std())
    assert found["sharpness"] == pytest.approx(np.var(edges))
    for name, channel in zip(("red", "green", "blue"), np.moveaxis(photo, -1, 0), strict=True):
        assert found[name] == pytest.approx(channel.mean() / 255)


def test_what_cannot_be_said_of_an_image_is_missing():
    grey, colour = np.ones((4, 4)), np.ones((2, 2, 4), np.uint8) * 51
    found = describe_images([grey, None, colour, np.ones((4, 4, 1))])
    assert found.columns == describe_images([]).columns
    assert found["red"].to_list() == [None, None, pytest.approx(0.2), None]
    assert found["sharpness"].to_list() == [0.0, None, None, 0.0]
    assert found["brightness"].to_list() == [1.0, None, pytest.approx(0.2), 1.0]
    for shape in ((3,), (4, 4, 2), (0, 4), (2, 2, 2, 2)):
        with pytest.raises(DataError, match="image 1, shape"):
            describe_images([grey, np.ones(shape)])


def test_images_that_lost_their_colours_have_drifted():
    photo = np.asarray(load_sample_images().images[0])
    tiles = [photo[y : y + 20, x : x + 20] for y in range(0, 400, 20) for x in range(0, 600, 20)]
    grey = [tile.mean(axis=-1).astype(np.uint8) for tile in tiles[1::2]]
    report = held_against(describe_images(tiles[::2]), describe_images(grey))
    assert {"red", "green", "blue"} <= drifted(report)


def test_other_sentences_have_not_drifted(sentences: list[str]):
    texts = pl.Series(sentences[:2000])
    vocabulary = vocabulary_of(texts[:1200])
    report = held_against(
        describe_texts(texts[:1200], vocabulary), describe_texts(texts[1200:], vocabulary)
    )
    assert report.verdict == "no drift"


TEXT_CHANGES = {
    "unknown_words": lambda text: re.sub(r"[aeiou]", "y", text),
    "upper_case": str.upper,
    "digits": lambda text: re.sub(r"[st]", "7", text),
    "not_ascii": lambda text: text.replace("a", "ä").replace("o", "ø"),
    "words": lambda text: " ".join(text.split()[:4]),
}


@pytest.mark.parametrize("name", TEXT_CHANGES)
def test_sentences_that_are_written_otherwise_have_drifted(sentences: list[str], name: str):
    texts = pl.Series(sentences[:2000])
    vocabulary = vocabulary_of(texts[:1200])
    changed = pl.Series([TEXT_CHANGES[name](text) for text in texts[1200:]])
    report = held_against(
        describe_texts(texts[:1200], vocabulary), describe_texts(changed, vocabulary)
    )
    assert name in drifted(report)


@given(st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=10))
def test_a_text_is_described_as_a_loop_would(texts: list[str | None]):
    known = ("a", "0", "the")
    frame = describe_texts(pl.Series(texts, dtype=pl.String), Vocabulary(known))
    assert frame.height == len(texts)
    for text, found in zip(texts, frame.iter_rows(named=True), strict=True):
        if not text:
            whole = None if text is None else 0
            assert found == dict.fromkeys(found) | {"characters": whole, "words": whole}
            continue
        assert found["characters"] == len(text)
        assert found["digits"] == pytest.approx(sum(c.isdecimal() for c in text) / len(text))
        assert found["not_ascii"] == pytest.approx(sum(ord(c) > 127 for c in text) / len(text))


def test_words_are_known_in_any_case_and_punctuation():
    frame = describe_texts(pl.Series(["The end. THE END!", "an End", "..."]), Vocabulary(("the",)))
    assert frame["words"].to_list() == [4, 2, 0]
    assert frame["unknown_words"].to_list() == [0.5, 1.0, None]
    assert frame["upper_case"].to_list() == [pytest.approx(7 / 17), pytest.approx(1 / 6), 0.0]


def test_a_vocabulary_keeps_frequent_words_only():
    texts = pl.Series(["Pay the bill"] * 5 + ["the password is hunter2"] * 4 + [None, ""])
    vocabulary = vocabulary_of(texts)
    assert vocabulary.words == ("bill", "pay", "the")
    assert documents.decode(documents.encode(vocabulary), Vocabulary) == vocabulary


def test_a_large_vocabulary_is_cut_where_words_are_rarest():
    words = [f"w{number}" for number in range(6_000)]
    vocabulary = vocabulary_of(pl.Series([" ".join(words)] * 5 + ["zebra"] * 6))
    assert len(vocabulary.words) == 5_000
    assert "zebra" in vocabulary.words
