"""Ctrl-C, a full disk, two trainings at once: what is left is whole."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.conftest import Generated

pytestmark = pytest.mark.slow


def start(project: Generated, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [str(project.programs / "mlops"), *words],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def store(project: Generated) -> MlflowClient:
    uri = f"sqlite:///{project.environment['MLOPS_HOME']}/mlflow.db"
    return MlflowClient(uri, registry_uri=uri)


@pytest.mark.parametrize("step", ["split", "lineage"])
def test_interrupting_leaves_no_half_registered_model(
    project: Generated, tmp_path: Path, step: str
) -> None:
    """The signal comes when `step` is reported done, so during what follows it."""
    ours = project.with_home(tmp_path / "home")
    process = start(ours, "train", "model=linear")
    seen = ""
    assert process.stderr is not None
    for line in process.stderr:
        seen += line
        if step in line:
            break
    time.sleep(1.5 if step == "split" else 0.2)  # into the fit, or into the registration
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, seen + rest
    assert "Traceback" not in rest
    assert "interrupted" in rest

    if (tmp_path / "home" / "mlflow.db").exists():
        client = store(ours)
        assert not client.search_registered_models()
        for experiment in client.search_experiments():
            for run in client.search_runs([experiment.experiment_id]):
                assert run.info.status != "RUNNING"

    ours.run("mlops", "train", "model=linear")
    assert [int(v.version) for v in store(ours).search_model_versions("name='flight-delay'")] == [1]


def test_a_full_disk_is_said_and_leaves_nothing(project: Generated, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(disk)])
    limit = [] if mount.returncode == 0 else ["bash", "-c", 'ulimit -f 100; exec "$0" "$@"']
    try:
        ours = project.with_home(tmp_path / "home")
        program = str(project.programs / "mlops")
        places = f"policy.residency.public.uri_prefixes=[$MLOPS_HOME,{disk}]"
        words = ("train", f"stack.store={disk}/store", places)
        done = ours.run(*limit, program, *words, check=False)
        assert done.returncode == 1, done.stderr
        assert "cannot be written" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list((disk / "store" / "incoming").iterdir())
        for path in (disk / "store").rglob("*.parquet"):
            import hashlib

            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    finally:
        if mount.returncode == 0:
            subprocess.run(["umount", str(disk)], check=True)


def test_two_trainings_at_once_on_a_fresh_store_both_succeed(
    project: Generated, tmp_path: Path
) -> None:
    ours = project.with_home(tmp_path / "home")
    running = [start(ours, "train", "model=linear", f"seed={seed}") for seed in (1, 2)]
    for process in running:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out + err
    client = store(ours)
    experiment = client.get_experiment_by_name("flight-delay")
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert client.get_model_version_by_alias("flight-delay", "champion")


def test_eight_clients_at_once_on_a_fresh_store_all_succeed(
    project: Generated, tmp_path: Path
) -> None:
    ours = project.with_home(tmp_path / "home")
    running = [start(ours, "compare", "--json") for _ in range(8)]
    for process in running:
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out.strip()) == (0, "[]"), err
