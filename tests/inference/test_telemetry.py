"""ONNX Runtime notes a session and sends events from its import on, unless it is told not to."""

import os
import subprocess
import sys
from pathlib import Path


def test_onnx_runtime_leaves_no_trace_of_a_session(tmp_path: Path) -> None:
    kept = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # no CI: ORT is silent there
    quiet, loud = tmp_path / "quiet", tmp_path / "loud"
    for folder, code in ((quiet, "import mlops_tasks, onnxruntime"), (loud, "import onnxruntime")):
        folder.mkdir()
        environment = kept | {"TMPDIR": str(folder)}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(loud.iterdir()), "what this looks for is not there any more: look anew"
    assert list(quiet.iterdir()) == []
