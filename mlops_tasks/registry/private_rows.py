"""Rows as the prediction log would keep them: what a profile may be made of.

Guarantee, held by a test: a feature in `serving.log.drop` is not in a model's profile, one in
`serving.log.hashed` only as the digests that the log has of its values, without extremes.

Digests are marked: a monitor must know whether it holds digests against digests.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl

from mlops_tasks.artifacts import Columns
from mlops_tasks.governance.private_digests import digest_key, private_digest
from mlops_tasks.settings.schema import Settings

MARK = "hmac:"
KEPT = 48  # digits, so that a marked digest is no longer than a level's name may be


def columns_as_logged(columns: Columns, settings: Settings) -> Columns:
    """The features that the log keeps; those that it hashes are names, whatever they were."""
    log = settings.serving.log
    numeric = [name for name in columns.numeric if name not in {*log.drop, *log.hashed}]
    names = [name for name in columns.features if name not in {*log.drop, *numeric}]
    return replace(columns, numeric=tuple(numeric), categorical=tuple(names))


def rows_as_logged(rows: pl.DataFrame, columns: Columns, settings: Settings) -> pl.DataFrame:
    """The same rows, hashed where the log hashes."""
    hashed = [name for name in columns.features if name in settings.serving.log.hashed]
    if not hashed:
        return rows
    key = digest_key(Path(settings.stack.key_folder))
    return rows.with_columns(_hashed(rows[name], key) for name in hashed)


def marked(digests: pl.Series) -> pl.Series:
    """Digests of the log as the profile names them."""
    return (MARK + digests.cast(pl.String).str.head(KEPT)).alias(digests.name)


def are_digests(levels: Iterable[str]) -> bool:
    """Whether the levels of a profile are marked digests."""
    return all(level.startswith(MARK) for level in levels)


def _hashed(values: pl.Series, key: bytes) -> pl.Series:
    plain = values.fill_nan(None) if values.dtype.is_float() else values
    found = {each: private_digest(key, values.name, each) for each in plain.unique().to_list()}
    digests = [found[each] for each in plain.to_list()]
    return marked(pl.Series(values.name, digests, dtype=pl.String))
