"""Every refusal as one JSON shape, with the status that says whose fault it was.

Guarantee: nothing a client sends is answered with its own bytes beyond a shortened field name.
"""

from typing import Any

import msgspec

from mlops_tasks.errors import DataError

LONGEST_NAME = 200


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a request. `field` and `row` are given where one is at fault."""

    code: str
    message: str
    request_id: str
    field: str | None = None
    row: int | None = None


class RequestRefused(DataError):
    """A request that is not answered with predictions.

    Parameters
    ----------
    status, code
        HTTP status, and a short name that programs can rely on.
    what
        What is wrong, in one sentence.
    field, row
        Where in the body, if anywhere; rows count from 0.
    """

    def __init__(
        self, status: int, code: str, what: str, *, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(what, where=field or "", next_step="see /openapi.json")
        self.status = status
        self.code = code
        self.field = field[:LONGEST_NAME] if field is not None else None
        self.row = row

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the status."""
        if self.status == 401:
            return {"www-authenticate": "Bearer"}
        if self.status in (408, 413):  # the rest of the body is not read
            return {"connection": "close"}
        if self.status == 503:
            return {"retry-after": "1"}
        return {}

    def body(self, request_id: str) -> bytes:
        """The refusal as JSON."""
        said: Any = Problem(self.code, self.what, request_id, self.field, self.row)
        return msgspec.json.encode(said)
