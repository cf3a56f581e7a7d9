"""A model's rows as types, made from the rows it was trained on: what does not fit is refused.

Guarantees, each held by a test: a row with a missing, unknown or wrongly typed column, a number
beyond 32-bit floats, text that is too long, an empty or too long list, bad JSON and bytes that are
not UTF-8 are refused with the column's name where one is at fault; a value may be missing only
where training had missing values. What a value means is the model's affair.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from mlops_tasks.inference.features import LARGEST_FLOAT, Feature, Row
from mlops_tasks.serving.online.problems import RequestRefused

LONGEST_TEXT = 10_000


def annotation(feature: Feature) -> Any:
    """The type that a value of a column must have in a request."""
    allowed: Any = bool
    if feature.kind == "float":
        allowed = Annotated[float, msgspec.Meta(ge=-LARGEST_FLOAT, le=LARGEST_FLOAT)]
    elif feature.kind == "integer":
        low, high = feature.bounds
        allowed = Annotated[int, msgspec.Meta(ge=low, le=high)]
    elif feature.choices:
        allowed = Literal[feature.choices]
    elif feature.kind == "text":
        allowed = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
    return allowed | None if feature.nullable else allowed


def _takes(ours: Feature, theirs: Feature) -> bool:
    if ours.kind != theirs.kind or (theirs.nullable and not ours.nullable):
        return False
    if ours.kind == "integer":
        (low, high), (lowest, highest) = ours.bounds, theirs.bounds
        return low <= lowest and highest <= high
    if ours.choices:
        return bool(theirs.choices) and {*theirs.choices} <= {*ours.choices}
    return True


class RowSchema:
    """Decodes a request body for one model; `names` are its columns, in the model's order.

    Parameters
    ----------
    features
        Columns in the model's order.
    max_rows
        The longest list that is taken.
    """

    def __init__(self, features: Sequence[Feature], max_rows: int) -> None:
        self.features = tuple(features)
        self.names = tuple(each.name for each in self.features)
        names = {f"f{place}": each.name for place, each in enumerate(self.features)}
        fields: list[Any] = [
            (place, annotation(each), *([None] if each.nullable else []))
            for place, each in zip(names, self.features, strict=True)
        ]
        # Columns may have any name, also one that Python has no word for.
        self.row_type = msgspec.defstruct(
            "Row",
            fields,
            rename=names,
            kw_only=True,
            frozen=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        many = Annotated[
            list[self.row_type],  # type: ignore[name-defined]
            msgspec.Meta(min_length=1, max_length=max_rows),
        ]
        self.body_type: Any = self.row_type | many
        self._decoder = msgspec.json.Decoder(self.body_type)

    def takes_all_of(self, other: "RowSchema") -> bool:
        """Whether every row that the other one takes is one that this one takes too."""
        pairs = zip(self.features, other.features, strict=False)
        return self.names == other.names and all(_takes(ours, theirs) for ours, theirs in pairs)

    def rows(self, body: bytes) -> list[Row]:
        """The rows of a body, one row or a list of rows, each in the order of the features.

        Raises
        ------
        RequestRefused
            If it is not JSON (400), or not such rows (422).
        """
        try:
            found = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise _misfit(str(error)) from error
        except UnicodeDecodeError as error:
            raise RequestRefused(400, "not_utf8", "the body is not UTF-8") from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise RequestRefused(400, "not_json", f"the body is not JSON: {error}") from error
        if isinstance(found, list):
            return [msgspec.structs.astuple(row) for row in found]
        return [msgspec.structs.astuple(found)]


_PLACE = re.compile(r" - at `\$(?:\[(?P<row>\d+)\])?(?:\.(?P<field>.*))?`$", re.DOTALL)
_NAMED = re.compile(r"(?P<what>missing required|contains unknown) field `(?P<field>.*)`", re.DOTALL)


def _misfit(said: str) -> RequestRefused:
    """Name the column and the row of what the decoder says."""
    place = _PLACE.search(said)
    row = int(place["row"]) if place and place["row"] else None
    what = said[: place.start()] if place else said
    named = _NAMED.search(what)
    if named:
        missing = named["what"].startswith("missing")
        code = "missing" if missing else "unknown"
        text = "a column is missing" if missing else "the model has no such column"
        return RequestRefused(422, code, text, field=named["field"], row=row)
    field = place["field"] if place else None
    if what.startswith("Invalid enum value"):
        what = "none of the values that this column has"  # the decoder repeats what was sent
    if field is None and "length" in what:
        code = "empty" if ">= 1" in what else "too_many_rows"
        return RequestRefused(422, code, what)
    return RequestRefused(422, "invalid", what, field=field, row=row)
