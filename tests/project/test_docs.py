"""What the documentation tells people to type works, in the order it tells them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO, Generated

pytestmark = pytest.mark.slow


def blocks(page: str) -> list[str]:
    return re.findall(r"```console\n(.*?)```", (REPO / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_tutorial_and_then_governance_run_from_top_to_bottom(
    project: Generated, template: Path, tmp_path: Path
) -> None:
    script = tmp_path / "tutorial.sh"
    script.write_text(
        "set -euo pipefail\n" + "\n".join(blocks("docs/tutorial.md") + blocks("docs/governance.md"))
    )
    tools = f"{Path(sys.executable).parent}:{project.environment['PATH']}"
    environment = project.environment | {
        "TEMPLATE": str(template),
        "MLOPS_HOME": str(tmp_path / "home"),
        "PATH": tools,
    }
    done = subprocess.run(
        ["bash", str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flight-delay version 1 is champion" in done.stderr
    assert "refused" in done.stderr
    assert (tmp_path / "flight-delay" / "july.parquet").is_file()
    assert "14 passed" in done.stdout

    told = " ".join(done.stderr.split())
    assert "flight-delay.prod version 1 is champion" in told
    assert "flight-delay version 3 agrees" in told
    assert "stack.store = '/tmp/elsewhere'" in told
    assert "this process is in 'mars'" in told
    assert "true" in told.rpartition("entries are vouched for")[0]


def test_the_demo_does_what_the_readme_says(tmp_path: Path) -> None:
    demo, tests = blocks("README.md")[:2]
    assert demo == "python -m pip install uv && uv run mlops demo\n"
    assert tests == "python -m pip install uv && uv run pytest\n"
    done = subprocess.run(
        [sys.executable, "-m", "mlops_tasks.cli", "demo", "--into", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stderr.partition("train a forest")[0]
    assert "is champion" in done.stderr.partition("train a forest")[2]
    root = tmp_path / "demo" / "flight-delay"
    assert (root / "outputs" / "july.parquet").is_file()
    assert "<svg" in (root / "outputs" / "compare.html").read_text(encoding="utf-8")


def test_ci_calls_the_readmes_test_command() -> None:
    assert blocks("README.md")[1].strip() in (REPO / ".ci" / "run").read_text()


PAGES = [*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob("benchmarks/*.md")]


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_no_committed_file_names_an_index_or_a_path_of_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        text = (REPO / name).read_bytes().decode("utf-8", errors="ignore")
        for host in ("pypi" + ".org", "python" + "hosted", "/wo" + "rk/", "/ro" + "ot/"):
            assert host not in text, (name, host)
