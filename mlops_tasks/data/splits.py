"""Dividing rows into what is learned from and what every model is judged on.

Guarantees: the two parts share no row; `time` never lets a training row be later than a comparison
row; `grouped` keeps a group on one side; `random` and `grouped` decide by a hash of the key or
group, so that a row keeps its side when other rows come or go; `stratified` ranks by that hash
within each class, so its shares are exact, and a row near the cut may change sides.
"""

import hashlib

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Code, Columns, Dataset, Split
from mlops_tasks.data.contracts import columns_of, load_contract
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.errors import DataError
from mlops_tasks.settings.schema import DataSettings


def split(rows: Dataset, contract: Code, data: DataSettings, seed: int, *, store: str) -> Split:
    """Divide valid rows by `data.split`.

    Parameters
    ----------
    rows
        Rows that fulfil the contract.
    contract
        The contract, for the parts that the columns play.
    data
        Split settings.
    seed
        Changes the hash, and with it the side of each row (not for `time`).
    store
        Folder URI for the two parts.

    Raises
    ------
    DataError
        If either part would be empty or have a single class.
    """
    columns = columns_of(load_contract(contract), data)
    frame = read_frame(rows)
    held_back = comparison_mask(frame, columns, data, seed)
    parts = []
    for name, part in (
        ("training", frame.filter(~held_back)),
        ("comparison", frame.filter(held_back)),
    ):
        if part[columns.target].n_unique() < 2:
            raise DataError(
                f"the {name} part would have {part.height} rows and "
                f"{part[columns.target].n_unique()} classes",
                where=f"data.split.kind={data.split.kind}",
                next_step="widen `data.window` or change `data.split.comparison_fraction`",
            )
        parts.append(write_frame(part, store, regions=rows.regions, dvc_rev=rows.dvc_rev))
    return Split(parts[0], parts[1], columns, data.split.kind)


def comparison_mask(
    frame: pl.DataFrame, columns: Columns, data: DataSettings, seed: int
) -> pl.Series:
    """True for the rows that go to the comparison set; shape `(rows,)`."""
    fraction = data.split.comparison_fraction
    if data.split.kind == "time":
        assert columns.time is not None  # DataSettings has checked it
        return _latest(frame[columns.time], fraction)
    names = (columns.group,) if data.split.kind == "grouped" else columns.key
    draws = uniform_by_hash(frame.select(str(name) for name in names), seed)
    if data.split.kind == "stratified":
        order = pl.DataFrame({"draw": draws, "target": frame[columns.target]})
        rank = (pl.col("draw").rank("ordinal") - 1).over("target")
        return order.select((rank < (pl.len() * fraction).round().over("target")).alias("m"))["m"]
    return pl.Series(draws < fraction)


def uniform_by_hash(keys: pl.DataFrame, seed: int) -> np.ndarray:
    """A number in [0, 1) for each row, from BLAKE2b of its key; shape `(rows,)`.

    The same on every platform and version, unlike a random generator's stream.
    """
    salt = seed.to_bytes(8, "big")

    def draw(key: tuple[object, ...]) -> int:
        text = "\0".join(str(part) for part in key).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, salt=salt).digest(), "big")

    return np.fromiter((draw(key) / 2**64 for key in keys.iter_rows()), float, keys.height)


def _latest(times: pl.Series, fraction: float) -> pl.Series:
    """The latest rows; rows at the cutting moment go together, to the comparison set."""
    cut = times.sort()[min(round(len(times) * (1 - fraction)), len(times) - 1)]
    return pl.Series(times >= cut)
