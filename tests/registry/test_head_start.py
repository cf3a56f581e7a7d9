"""A head start: what is imported meanwhile, that nobody waits, and that a failure there is none."""

import subprocess
import sys
from textwrap import dedent

import pytest

SETTINGS = """
    import sys, threading
    from mlops_tasks.registry.head_start import head_start
    from mlops_tasks.settings.schema import StackSettings
    places = dict.fromkeys(("artifact_root", "store", "predictions", "ledger", "anchor"), "x")
    stack = StackSettings(name="x", tracking_uri={address!r}, key_folder="x", **places)
"""


def said(code: str, address: str = "sqlite:////nowhere/mlflow.db") -> list[str]:
    """What a fresh process prints."""
    program = dedent(SETTINGS).format(address=address) + dedent(code)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=170
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    return run.stdout.split()


@pytest.mark.parametrize(
    ("address", "store"), [("sqlite:////nowhere/mlflow.db", "True"), ("https://mlflow", "False")]
)
def test_what_recording_needs_is_there_when_it_is_wanted(address: str, store: str) -> None:
    code = """
        assert "mlflow" not in sys.modules
        head_start(stack).join()
        for name in ("mlflow", "model_signing.signing", "mlflow.store.tracking.sqlalchemy_store"):
            print(name in sys.modules)
    """
    assert said(code, address) == ["True", "True", store]


STUCK = """
    class Stuck:
        def __init__(self):
            self.reached, self.leave = threading.Event(), threading.Event()
        def find_spec(self, name, path=None, target=None):
            if name == "mlflow":
                print(*(each in sys.modules for each in ("scipy.sparse", "sklearn.base")))
                self.reached.set()
                self.leave.wait()
    stuck = Stuck()
    sys.meta_path.insert(0, stuck)
"""


def test_nobody_waits_for_it_and_what_both_sides_import_is_there_before() -> None:
    code = """
        thread = head_start(stack)
        stuck.reached.wait()
        print(thread.is_alive())
    """
    assert said(dedent(STUCK) + dedent(code)) == ["True", "True", "True"]


def test_what_cannot_be_imported_is_left_to_the_step_that_needs_it() -> None:
    code = """
        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == "mlflow":
                    raise OSError("the disk is gone")
        sys.meta_path.insert(0, Broken())
        head_start(stack).join()
        print("model_signing.signing" in sys.modules)
        try:
            import mlflow
        except OSError as error:
            print(error)
    """
    assert said(code) == ["True", "the", "disk", "is", "gone"]
