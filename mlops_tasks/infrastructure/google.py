"""What Google's platforms have in common. Pure."""

import re
from typing import Any

from mlops_tasks.infrastructure.problem import REGION, Problem

REGIONS = re.compile(r"[a-z]+-[a-z]+\d+")


def google_region(region: str, without: str) -> tuple[dict[str, Any], list[Problem]]:
    """The variable for a region, and what is wrong with it.

    Parameters
    ----------
    region
        As the stack says it. The zone of one and a region of another cloud are none.
    without
        What happens where none is said.
    """
    if not region:
        return {}, [Problem(REGION, f"empty: {without}")]
    if REGIONS.fullmatch(region):
        return {"region": region}, []
    what = f"{region!r} is not the name of a Google region, as europe-west3 is"
    return {"region": region}, [Problem(REGION, what)]
