"""Which rows share their key with another row? Exact, and of more rows than fit into memory.

Keys are looked at twice: first at hashes of them, of 8 bytes each, where those that occur again
are suspects; then at the suspects' keys themselves. About `AT_ONCE` hashes are held: of more rows,
one share of the hashes after the other, each of which reads the keys anew. What stays in memory are
the keys of rows that share one.
"""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

AT_ONCE = 1 << 22  # 32 MiB of hashes, and as much again while they are gathered


def rows_that_share_a_key(
    read: Callable[[], Iterable[pl.DataFrame]], key: tuple[str, ...], row: str, rows: int
) -> pl.Series:
    """The numbers of all rows whose key is the key of another one, too.

    Parameters
    ----------
    read
        Begins to read the rows anew, in parts: the key, and the number of each row.
    key
        The columns that are the key together; null is equal to null.
    row
        The column with the number.
    rows
        How many there are, or more.
    """
    shares = max(1, -(-rows // AT_ONCE))
    found: list[pl.DataFrame] = []
    for share in range(shares):
        hashes = np.concatenate(
            [np.empty(0, np.uint64), *(_share(part, key, share, shares) for part in read())]
        )
        hashes.sort()
        twice = pl.DataFrame({_HASH: np.unique(hashes[1:][hashes[1:] == hashes[:-1]])})
        del hashes
        if twice.height:
            suspects = pl.concat(
                part.with_columns(_hashes(part, key))
                .join(twice, on=_HASH, how="semi")
                .select(row, *key)
                for part in read()
            )
            found.append(suspects.filter(pl.struct(key).is_duplicated()).select(row))
    return pl.concat(found)[row].sort() if found else pl.Series(row, [], pl.UInt32)


_HASH = "hash of key"  # with a space, so that no column of a contract has the name


def _hashes(part: pl.DataFrame, key: tuple[str, ...]) -> pl.Series:
    return part.select(key).hash_rows().alias(_HASH)


def _share(
    part: pl.DataFrame, key: tuple[str, ...], share: int, shares: int
) -> npt.NDArray[np.uint64]:
    hashes = _hashes(part, key)
    found: npt.NDArray[np.uint64] = hashes.filter(hashes % shares == share).to_numpy()
    return found
