"""Every target with every size: what is rendered, or why not, as it was agreed.

To rewrite the files after a change that is meant, and read the difference in git:

    MLOPS_REWRITE_GOLDEN=1 uv run pytest tests/infrastructure/test_golden.py
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_tasks.environment import TELEMETRY_OFF
from mlops_tasks.infrastructure.translation import job_variables, problems
from mlops_tasks.settings.infrastructure import Kind, Resources
from tests.infrastructure.workers import KINDS, target, valid

FOLDER = Path(__file__).parent / "golden"
SIZES = {
    "unsaid": Resources(),
    "small": Resources(cpu_cores=0.5, memory_gib=1),
    "middle": Resources(cpu_cores=2, memory_gib=4, max_hours=2),
    "large": Resources(cpu_cores=8, memory_gib=32),
    "memory": Resources(memory_gib=12),
    "gpu": Resources(cpu_cores=4, memory_gib=16, gpu_count=1),
    "gpu-of-a-kind": Resources(gpu_count=2, gpu_kind="NVIDIA_TESLA_T4"),
}


def rendered(kind: Kind, resources: Resources) -> dict[str, Any]:
    asked = target(kind, resources)
    if found := problems(asked):
        return {"problems": {each.key: each.what for each in found}}
    variables = job_variables(asked, {"MLOPS_BUCKET": "s3://flights"})
    assert TELEMETRY_OFF.items() <= variables["env"].items()
    told = {name: each for name, each in variables["env"].items() if name not in TELEMETRY_OFF}
    return {"variables": variables | {"env": told}}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_rendered_is_what_was_agreed(kind: Kind) -> None:
    file = FOLDER / f"{kind}.yaml"
    found = {size: rendered(kind, resources) for size, resources in SIZES.items()}
    if os.environ.get("MLOPS_REWRITE_GOLDEN"):
        file.write_text(yaml.safe_dump(found, sort_keys=False, width=100), "utf-8")
    assert found == yaml.safe_load(file.read_text("utf-8"))


def test_there_is_a_file_for_every_kind_and_no_other() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_agreed_fits_the_installed_worker(kind: Kind) -> None:
    golden = yaml.safe_load((FOLDER / f"{kind}.yaml").read_text("utf-8"))
    for each in golden.values():
        if "variables" in each:
            valid(kind, each["variables"])
