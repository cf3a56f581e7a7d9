"""Is a bill of materials a valid one? By the strict schema of `cyclonedx-python-lib`, offline.

What stands in a bill is `bill_of_materials`' affair.
"""

import json

from mlops_tasks.errors import GovernanceError
from mlops_tasks.governance.bill_of_materials import SPEC_VERSION


def check_bill(data: bytes) -> None:
    """Return if this is a valid bill, by the library's strict schema and without network.

    Raises
    ------
    GovernanceError
        If it is not, or the schemas are not installed.
    """
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    try:
        found = JsonStrictValidator(SchemaVersion.V1_7).validate_str(data.decode())
        known = json.loads(data).get("specVersion") if found is None else SPEC_VERSION
    except MissingOptionalDependencyException as error:
        raise GovernanceError(
            "a bill of materials cannot be checked without its schemas",
            where="mlops_tasks",
            next_step="`pip install mlops-tasks[bom]`",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _invalid("it is not JSON") from error
    if found is not None:
        at = "/".join(str(step) for step in found.data.absolute_path)
        raise _invalid(f"{found.data.message[:200]} (at /{at})")
    if known != SPEC_VERSION:
        raise _invalid(f"it is not of version {SPEC_VERSION}")


def _invalid(why: str) -> GovernanceError:
    return GovernanceError(
        f"the bill of materials is not valid: {why}",
        where="bill of materials",
        next_step="train again, or report this where the library is developed",
    )
