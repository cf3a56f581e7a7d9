"""What the documentation tells people to type works, in the order it tells them."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_tasks.platform.local_server import free_port
from mlops_tasks.platform.prefect_server import prefect_server
from mlops_tasks.project.demo_steps import LONG
from tests.conftest import REPO, Generated
from tests.project.test_demo import elsewhere

pytestmark = pytest.mark.slow


def blocks(page: str) -> list[str]:
    return re.findall(r"```console\n(.*?)```", (REPO / page).read_text(encoding="utf-8"), re.DOTALL)


def run_in_a_session(
    script: Path, environment: dict[str, str], log: Path
) -> subprocess.CompletedProcess[str]:
    """Run a script; what it left in the background ends with it."""
    out, err = log.with_suffix(".out"), log.with_suffix(".err")
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            ["bash", str(script)],
            cwd=script.parent,
            env=environment,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    return subprocess.CompletedProcess(process.args, code, out.read_text(), err.read_text())


@pytest.mark.timeout(1200)
def test_the_pages_run_from_top_to_bottom_one_after_the_other(
    project: Generated, template: Path, tmp_path: Path
) -> None:
    pages = ("tutorial", "governance", "serving", "monitoring")
    typed = "\n".join(block for page in pages for block in blocks(f"docs/{page}.md"))
    assert typed.count("8000") > 5
    script = tmp_path / "pages.sh"
    script.write_text("set -euo pipefail\n" + typed.replace("8000", str(free_port())))
    tools = f"{Path(sys.executable).parent}:{project.environment['PATH']}"
    environment = project.environment | {
        "TEMPLATE": str(template),
        "MLOPS_HOME": str(tmp_path / "home"),
        "PATH": tools,
    }
    # A server of its own: the pages raise an alarm, and other tests' automations must not hear it.
    with prefect_server(tmp_path / "prefect") as url:
        done = run_in_a_session(
            script, environment | {"PREFECT_API_URL": url}, tmp_path / "pages.log"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flight-delay version 1 is champion" in done.stderr
    assert "refused" in done.stderr
    assert (tmp_path / "flight-delay" / "july.parquet").is_file()
    assert "23 passed" in done.stdout

    told = " ".join(done.stderr.split())
    assert "flight-delay.prod version 1: champion" in told
    assert "flight-delay version 3 agrees" in told
    assert "stack.store = '/tmp/elsewhere'" in told
    assert "this process is in 'mars'" in told
    assert "true" in told.rpartition("entries are vouched for")[0]

    assert '"request_id"' in done.stdout
    assert '"field":"carrier"' in done.stdout
    assert "version 1 is the canary, with 0.3 of the keys" in told
    assert "the gate refuses it" in told
    assert (tmp_path / "deploy" / "kubernetes.yaml").is_file()
    assert "1 labels kept for flight-delay" in told
    assert "not enough rows" in told
    steady, drifted = told.rpartition("monitor --simulate steady")[2].split("simulate drifted")
    assert "steady 1 no drift" in steady
    assert "called for" not in steady
    assert "drifted 2 drift" in drifted
    assert "a training was called for" in drifted


@pytest.mark.timeout(1800)
def test_the_pages_about_infrastructure_do_too(project: Generated, tmp_path: Path) -> None:
    copy = project.copy(tmp_path)
    left_out = ("PYTHONPATH", "PREFECT_API_URL")
    environment = {name: value for name, value in copy.environment.items() if name not in left_out}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    typed = "\n".join(
        block for page in ("platform", "scale", "stacks") for block in blocks(f"docs/{page}.md")
    )
    script = copy.root / "pages.sh"
    script.write_text(f"set -euo pipefail\ntrap 'uv run mlops down' EXIT\n{typed}")

    done = run_in_a_session(script, environment, tmp_path / "pages.log")

    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join((done.stdout + done.stderr).split())
    assert "Completed" in told
    assert "- name: flight-delay.prod" in done.stdout
    assert (copy.root / "conf" / "experiment" / "tuned.yaml").is_file()
    assert "MLOPS_BUCKET not set, and stack 'aws' reads it" in told
    assert "kind: Job" in done.stdout


@pytest.mark.timeout(1200)
def test_the_demo_does_what_the_readme_says(tmp_path: Path) -> None:
    demo, tests = blocks("README.md")[:2]
    assert demo == "python -m pip install uv && uv run mlops demo\n"
    assert tests == "python -m pip install uv && uv run pytest\n"
    done = subprocess.run(
        [sys.executable, "-m", "mlops_tasks.cli", "demo", "--into", str(tmp_path / "demo")],
        env=os.environ | elsewhere(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stderr.partition("train a forest")[0]
    assert "is champion" in done.stderr.partition("train a forest")[2]
    lines = done.stderr.splitlines()
    took = {number: re.match(r"  ✓ ([\d.]+) s$", line) for number, line in enumerate(lines)}
    long = [number for number, found in took.items() if found and float(found[1]) > LONG + 0.2]
    assert long, "uv is never that quick"
    assert all(lines[number - 1].startswith("  … ") for number in long), "waited for in silence"
    assert "… starting a Prefect server" in done.stderr
    told = [done.stderr.find(f"version {number} answers") for number in (2, 1)]
    assert -1 < told[0] < told[1], "retrained, approved, and taken back"
    assert not (tmp_path / "real").exists(), "nothing of the user's is touched"
    root = tmp_path / "demo" / "flight-delay"
    assert (root / "outputs" / "july.parquet").is_file()
    status = ["git", "-C", str(root), "status", "--porcelain"]
    assert subprocess.check_output(status, text=True) == "", "all that it changed is committed"
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
