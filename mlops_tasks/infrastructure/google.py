"""What Google's platforms have in common. Pure."""

import re

from mlops_tasks.infrastructure.problem import REGION, Problem

REGIONS = re.compile(r"[a-z]+-[a-z]+\d+")


def google_region_problems(region: str) -> list[Problem]:
    """A word that cannot be the name of a region: the zone of one, or a region of another cloud."""
    if REGIONS.fullmatch(region):
        return []
    return [Problem(REGION, f"{region!r} is not the name of a Google region, as europe-west3 is")]
