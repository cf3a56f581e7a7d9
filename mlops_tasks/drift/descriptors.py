"""Text and images as a few plain columns, so that a profile and a report cover them like tables.

Describe reference and window alike, give the first frame to `profile_of` and the second to `count`.
What a text or an image means is not seen here; that takes embeddings (`embeddings`).

Guarantees, each held by a test: one row for each text or image, in order; the same columns for
every frame; what cannot be said, such as the share of digits in an empty text or the colours of a
grey image, is missing, so that a change of its share is seen too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tasks.drift.bins import Array
from mlops_tasks.errors import DataError

KNOWN_WORD_TEXTS = 5
MAX_WORDS = 5_000
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
IMAGE_COLUMNS = ("width", "height", "brightness", "contrast", "sharpness", "red", "green", "blue")
Image = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words, in lower case, that the reference uses most."""

    words: tuple[str, ...]


def vocabulary_of(texts: pl.Series) -> Vocabulary:
    """The words that occur in at least five texts, at most the 5 000 most frequent.

    A word that few texts have can be a name or a secret, and is not kept.

    Parameters
    ----------
    texts
        The reference, text, shape `(texts,)`.
    """
    found = _words(texts).list.unique().explode().drop_nulls().alias("word")
    rows = found.value_counts(name="texts").filter(pl.col("texts") >= KNOWN_WORD_TEXTS)
    kept = rows.sort("texts", "word", descending=[True, False]).head(MAX_WORDS)
    return Vocabulary(tuple(kept["word"].sort()))


def describe_texts(texts: pl.Series, vocabulary: Vocabulary) -> pl.DataFrame:
    """Length and make-up of each text.

    Parameters
    ----------
    texts
        Text, shape `(texts,)`; a missing text has missing descriptors.
    vocabulary
        Of the reference: also of the window's texts.

    Returns
    -------
    polars.DataFrame
        `characters`, `words` (runs of letters, digits and underscores), and as shares of the
        characters `digits`, `upper_case` and `not_ascii`, and `unknown_words` as a share of the
        words.
    """
    text, length = pl.col("text"), pl.col("text").str.len_chars()
    unknown = ~pl.element().is_in(list(vocabulary.words))
    frame = pl.DataFrame({"text": texts.cast(pl.String), "found": _words(texts)})
    return frame.select(
        characters=length,
        words=pl.col("found").list.len(),
        digits=_share(text.str.count_matches(r"\p{Nd}"), length),
        upper_case=_share(text.str.count_matches(r"\p{Lu}"), length),
        not_ascii=_share(text.str.count_matches(r"[^\x00-\x7F]"), length),
        unknown_words=pl.col("found").list.eval(unknown.cast(pl.Float64)).list.mean(),
    )


def describe_images(images: Sequence[Image | None]) -> pl.DataFrame:
    """Size, light and sharpness of each image.

    Parameters
    ----------
    images
        Each `(height, width)`, or `(height, width, channels)` with one grey, or red, green, blue
        and maybe alpha, which is ignored; whole numbers in [0, 255], or floats in whatever unit the
        reference has. A missing image has missing descriptors.

    Returns
    -------
    polars.DataFrame
        `width`, `height`; `brightness` and `contrast`, mean and standard deviation of the luminance
        (ITU-R BT.709); `sharpness`, the variance of its Laplacian (Pech-Pacheco et al. 2000,
        doi:10.1109/ICPR.2000.903548); `red`, `green`, `blue`, the means of the channels.

    Raises
    ------
    DataError
        If an image has another shape or no pixels.
    """
    rows = [_described(image, number) for number, image in enumerate(images)]
    return pl.DataFrame(rows, schema=dict.fromkeys(IMAGE_COLUMNS, pl.Float64), orient="row")


def _words(texts: pl.Series) -> pl.Series:
    return texts.cast(pl.String).str.to_lowercase().str.extract_all(r"\w+")


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def _described(image: Image | None, number: int) -> tuple[float | None, ...]:
    if image is None:
        return (None,) * len(IMAGE_COLUMNS)
    channels = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or not image.size:
        raise DataError(
            "this is not an image of grey or of red, green and blue",
            where=f"image {number}, shape {image.shape}",
            next_step="give height, width and one, three or four channels",
        )
    pixels = image / 255.0 if np.issubdtype(image.dtype, np.integer) else image.astype(np.float64)
    colours: tuple[float | None, ...] = (None, None, None)
    light: Array = pixels.reshape(image.shape[:2]) if channels == 1 else pixels[..., :3] @ LUMINANCE
    if channels > 1:
        colours = tuple(float(each) for each in pixels[..., :3].mean(axis=(0, 1)))
    height, width = image.shape[:2]
    figures = (float(light.mean()), float(light.std()), _sharpness(light))
    return (float(width), float(height), *figures, *colours)


def _sharpness(light: Array) -> float | None:
    if min(light.shape) < 3:
        return None
    around = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:]
    return float(np.var(around - 4 * light[1:-1, 1:-1]))
