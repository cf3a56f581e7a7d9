"""Does a work pool take a target's job variables? Pure.

Prefect drops a variable that the pool's template does not use, without a word: a limit of memory
would be asked for and not be there. So the template is read first.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_tasks.infrastructure.problem import OBSERVED
from mlops_tasks.settings.infrastructure import ComputeTarget

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def misfits(
    target: ComputeTarget, variables: Mapping[str, Any], pool: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong between a target and the work pool that it names, in sentences.

    Parameters
    ----------
    target
        What is asked for.
    variables
        Its job variables.
    pool
        `type` and `base_job_template` as the Prefect API describes them.
    """
    if pool["type"] != target.kind:
        yield f"the pool is of type {pool['type']!r}, and stack.compute.kind is {target.kind!r}"
        return
    template = pool.get("base_job_template") or {}
    known = (template.get("variables") or {}).get("properties") or {}
    used = set(PLACEHOLDER.findall(str(template.get("job_configuration") or {})))
    for name in variables:
        if name not in known:
            yield f"the pool's template has no variable {name!r}"
        elif name not in used:
            yield f"the pool's template does not use the variable {name!r}"
    yield from _region(target, variables, (known.get("env") or {}).get("default") or {})


def _region(
    target: ComputeTarget, variables: Mapping[str, Any], env: Mapping[str, str]
) -> Iterator[str]:
    said = env.get(OBSERVED, "")
    if said and target.region and said != target.region:
        yield f"its jobs are in {said!r}, and stack.compute.region is {target.region!r}"
    # A process inherits the variable from its worker, which cannot be seen from here.
    carried = (variables.get("env") or {}).get(OBSERVED)
    if variables and not said and not carried and target.kind != "process":
        yield f"nothing says {OBSERVED} to its jobs: set it in `env` of the pool's template"
